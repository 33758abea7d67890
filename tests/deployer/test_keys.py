"""Deploy keys: the keys of production.toml, what provisioning makes of them, and the gate that a login meets."""

import argparse
import asyncio
import re

import pytest

from deployer.conftest import TOML, fleet_of
from deployer.recipes import Plan
from proc import passed, run
from slipway.deploy import __main__ as command_line
from slipway.deploy.config.ssh import Ssh
from slipway.deploy.errors import Refused
from slipway.deploy.provisioning import provision
from slipway.deploy.provisioning.fitness import Inspection
from slipway.deploy.server import keys

KEY, WATCH = f"ssh-ed25519 {'A' * 68} ci", f"ssh-ed25519 {'B' * 68}"
WITH_KEYS = {"deploy_keys": [KEY], "watch_keys": [WATCH], "image": "registry.example/shop"}


@pytest.fixture
def fleet(data):
    return fleet_of({**TOML, **data}, WITH_KEYS)


# ---- production.toml ----


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"deploy_keys": ["ssh-ed25519"]}, r"deploy_keys.*: 'ssh-ed25519' is not a public key"),
        ({"deploy_keys": [f"{KEY}\nssh-rsa x"]}, "is not a public key"),
        ({"deploy_keys": [f'command="sh" {KEY}']}, "is not a public key"),
        ({"deploy_keys": [KEY.replace("AAAA ci", "AAA ci")]}, "is not a public key"),
        ({"registry": "ssh"}, 'deploy_keys: registry = "ssh" needs port forwarding, by which'),
        ({"registry": "ssh", "deploy_keys": []}, "watch_keys: registry"),
        ({"app": "shop-deploy"}, "deploy_keys: an app called shop would have an account of this app's name"),
    ],
)
def test_keys_that_would_give_more_are_refused(data, changes, problem):
    with pytest.raises(Refused, match=problem):
        fleet_of({**TOML, **data}, {**WITH_KEYS, **changes})


# ---- what provisioning makes ----


DEPLOY, LOOK = (keys.fingerprint(key) for key in (KEY, WATCH))


def test_the_files_of_keys(fleet):
    assert keys.authorized_keys(fleet).content == (
        f'restrict,command="sudo -n /usr/local/sbin/shop-gate deploy {DEPLOY}" {KEY}\n'
        f'restrict,command="sudo -n /usr/local/sbin/shop-gate watch {LOOK}" {WATCH}\n'
    )
    assert keys.sudoers(fleet).content.splitlines()[2:] == [
        'shop-deploy ALL=(root) NOPASSWD: /usr/local/sbin/shop-gate "", /usr/local/sbin/shop-gate watch',
        f"shop-deploy ALL=(root) NOPASSWD: /usr/local/sbin/shop-gate deploy {DEPLOY}",
        f"shop-deploy ALL=(root) NOPASSWD: /usr/local/sbin/shop-gate watch {LOOK}",
    ]
    granting = keys.paths("shop")[:2]
    assert {"." in path.rpartition("/")[2] for path in granting} == {False}, "sudo reads no file with a dot"


@pytest.mark.needs("ssh-keygen")
def test_a_fingerprint_is_openssh_s(tmp_path):
    passed(run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ci of shop", "-f", tmp_path / "key"]))
    public = (tmp_path / "key.pub").read_text().strip()
    shown = passed(run(["ssh-keygen", "-l", "-f", tmp_path / "key.pub"])).stdout.split()[1:-1]
    assert keys.title(public).split() == shown and shown[0] == f"SHA256:{keys.fingerprint(public)}"


def test_provisioning_opens_the_door_last(fleet):
    plan = Plan(fleet, "web1", Inspection(missing=frozenset({"sudo"})))
    written = [path for path in plan.files if path in (*keys.paths("shop"), f"{keys.sudoers_path('shop')}.new")]
    bounds = "/etc/systemd/system/shop_deploy.slice"
    assert written == [bounds, "/usr/local/sbin/shop-gate", "/etc/sudoers.d/shop-deploy.new", keys.paths("shop")[0]]
    assert [plan.files[path][1:] for path in written[2:]] == [("440", "root", "root"), ("644", "root", "root")]
    assert {"MemoryMax=512M", "TasksMax=300", "CPUWeight=20"} <= {*plan.files[bounds][0].split()}
    order = [f"write {bounds}", "reload systemd", "write /usr/local/sbin/shop-gate"]
    assert [name for name in plan.names if name in order] == order
    assert any(text.startswith("visudo --check") and text.endswith("exit 1; }") for text in plan.scripts)
    assert "add user shop-deploy" in plan.names and any("sudo" in name for name in plan.names)


def test_without_keys_nothing_of_them_stays(data):
    fleet = fleet_of({**TOML, **data}, {})
    there = (
        "".join(f"f|root|root|644||{path}\n" for path in keys.paths("shop")) + f"d|root|root|755||{keys.home('shop')}\n"
    )
    names = Plan(fleet, "web1", there=there).names
    assert [name for name in names if re.search("shop-gate|shop.deploy", name)] == [
        *(f"remove {path}" for path in keys.paths("shop")),
        "remove user shop-deploy",
    ]
    assert not [name for name in Plan(fleet, "web1").names if "shop-deploy" in name]


def test_a_key_that_is_root_s_too_is_named(fleet):
    class Connection:
        async def command(self, script):
            return argparse.Namespace(out=f"# root's\n{KEY.rpartition(' ')[0]} old name\n".encode())

    lines = asyncio.run(provision.also_of_root(fleet, {"web1": Connection()}))
    assert lines == ["web1: the key ci is root's, too: remove it from /root/.ssh/authorized_keys"]


# ---- the deployer ----


def test_the_account_of_keys_is_chosen_by_a_variable():
    words = Ssh(user="shop-deploy").command("root@web1.example", ["id"])
    assert words[words.index("User=shop-deploy") - 1] == "-o" and "User=" not in " ".join(Ssh().command("web1", []))


@pytest.mark.parametrize("command", ["run", "env", "provision", "drain", "maintenance", "restore", "dbshell", "backup"])
def test_what_needs_an_administrator_says_so(monkeypatch, capsys, command):
    monkeypatch.setenv("DEPLOY_USER", "shop-deploy")
    monkeypatch.setattr(command_line.config, "find", lambda *_: fleet_of(TOML, WITH_KEYS))
    words = {"run": ["run", "manage", "check"], "drain": ["drain", "web1"], "maintenance": ["maintenance", "on"]}
    words |= {"env": ["env", "list"]}
    assert command_line.main(words.get(command, [command])) == 2
    said = capsys.readouterr().err
    assert said == f"slipway: {command} needs an administrator's key: unset DEPLOY_USER, and use yours\n"
