"""Deploy keys: the keys of production.toml, what provisioning makes of them, and the gate that a login meets."""

import argparse
import asyncio
import binascii
import os
import shlex
import subprocess
import sys
import zlib

import pytest

from deployer.conftest import TOML, fleet_of
from deployer.recipes import Plan
from slipway.deploy import __main__ as command_line
from slipway.deploy.commands import logs
from slipway.deploy.config.ssh import PREFIX, Ssh
from slipway.deploy.errors import Refused
from slipway.deploy.log import search
from slipway.deploy.provisioning import provision
from slipway.deploy.provisioning.fitness import Inspection
from slipway.deploy.server import keys
from slipway.deploy.ssh import bootstrap

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
        ({"registry": "ssh"}, 'deploy_keys: registry = "ssh" needs port forwarding, by which'),
        ({"registry": "ssh", "deploy_keys": []}, "watch_keys: registry"),
        ({"app": "shop-deploy"}, "deploy_keys: an app called shop would have an account of this app's name"),
    ],
)
def test_keys_that_would_give_more_are_refused(data, changes, problem):
    with pytest.raises(Refused, match=problem):
        fleet_of({**TOML, **data}, {**WITH_KEYS, **changes})


# ---- what provisioning makes ----


def test_the_files_of_keys(fleet):
    assert keys.authorized_keys(fleet).content == (
        f'restrict,command="sudo -n /usr/local/sbin/shop-gate" {KEY}\n'
        f'restrict,command="sudo -n /usr/local/sbin/shop-gate watch" {WATCH}\n'
    )
    assert keys.sudoers("shop").content.splitlines()[-1] == (
        'shop-deploy ALL=(root) NOPASSWD: /usr/local/sbin/shop-gate "", /usr/local/sbin/shop-gate watch'
    )
    assert {"." in path.rpartition("/")[2] for path in keys.paths("shop")} == {False}, "sudo reads no file with a dot"


def test_provisioning_opens_the_door_last(fleet):
    plan = Plan(fleet, "web1", Inspection(missing=frozenset({"sudo"})))
    written = [path for path in plan.files if path in (*keys.paths("shop"), f"{keys.sudoers_path('shop')}.new")]
    assert written == ["/usr/local/sbin/shop-gate", "/etc/sudoers.d/shop-deploy.new", keys.paths("shop")[0]]
    assert plan.files[written[1]][1:] == ("440", "root", "root") and plan.files[written[2]][1:] == (
        "644",
        "root",
        "root",
    )
    assert any(text.startswith("visudo --check") and text.endswith("exit 1; }") for text in plan.scripts)
    assert "add user shop-deploy" in plan.names and any("sudo" in name for name in plan.names)


def test_without_keys_nothing_of_them_stays(data):
    fleet = fleet_of({**TOML, **data}, {})
    there = (
        "".join(f"f|root|root|644||{path}\n" for path in keys.paths("shop")) + f"d|root|root|755||{keys.home('shop')}\n"
    )
    names = Plan(fleet, "web1", there=there).names
    assert [name for name in names if "shop-gate" in name or "shop-deploy" in name] == [
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


# ---- the gate ----


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """The program, as provisioning writes it."""
    path = tmp_path_factory.mktemp("gate") / "shop-gate"
    path.write_text(keys.gate(fleet_of(TOML, WITH_KEYS)).content)
    return path


def ask(gate, line, *words, input=""):
    env = {"PATH": os.environ["PATH"], **({} if line is None else {"SSH_ORIGINAL_COMMAND": line})}
    return subprocess.run(
        [sys.executable, "-IS", gate, *words],
        env=env,
        input=input,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def by_deployer(words):
    return shlex.join([*PREFIX, *words])


JOURNAL = ["journalctl", "--quiet", "--no-pager", "--all", "-o", "json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER"]
START = bootstrap.command("shop")
OTHERS = {
    "no command": None,
    "an empty one": "",
    "a shell": "sh",
    "a shell's command": "sh -c 'id >/tmp/canary'",
    "the deployer's prefix alone": by_deployer([]),
    "a command after it": by_deployer(["id"]),
    "scp": "scp -t /",
    "sftp": "/usr/lib/openssh/sftp-server",
    "rsync": "rsync --server -e.LsfxC . /",
    "a program of the client": by_deployer([*START[:5], "open('/tmp/canary', 'w')", *START[6:]]) + " x",
    "another app": by_deployer(bootstrap.command("blog")),
    "another mode": by_deployer([*START[:6], "work", *START[7:]]),
    "one word more": by_deployer([*START, "x"]),
    "an unclosed quote": "journalctl '",
    "a line feed": by_deployer(START) + "\nid",
    "another program's log": shlex.join([*JOURNAL, "-t", "sudo"]),
    "all logs": shlex.join(JOURNAL),
    "all logs, the newest first": shlex.join([*JOURNAL, "--reverse", "-n", "9"]),
    "another app's log": shlex.join([*JOURNAL, "-t", "shop-blog-web-a"]),
    "a folder": shlex.join([*JOURNAL, "-D", "/", "-t", "shop-web-a"]),
    "a file": shlex.join([*JOURNAL, "--file=/etc/shadow", "-t", "shop-web-a"]),
    "a cursor's file": shlex.join([*JOURNAL, "--cursor-file=/etc/x", "-t", "shop-web-a"]),
    "a vacuum": shlex.join([*JOURNAL, "--vacuum-size=1", "-t", "shop-web-a"]),
    "a field": shlex.join([*JOURNAL, "-t", "shop-web-a", "+", "_UID=0"]),
    "other fields": shlex.join(["journalctl", "-o", "export", "-t", "shop-web-a"]),
    "an option's value that is missing": shlex.join([*JOURNAL, "-t"]),
}


@pytest.mark.parametrize("what", OTHERS)
def test_all_else_is_refused_in_one_line(gate, what):
    done = ask(gate, OTHERS[what])
    refusal = "this key may deploy shop, and nothing else: use an administrator's key\n"
    older = "this server's agent is of another version: run slipway provision\n"
    assert (done.returncode, done.stdout) == (77, "") and done.stderr in (refusal, older), done
    assert not os.path.exists("/tmp/canary")
    if what == "another mode":
        assert done.stderr == refusal


def test_another_version_is_told_what_to_do(gate):
    done = ask(gate, by_deployer([*START[:-1], "/run/shop/agent.0123456789abcdef"]))
    assert done.returncode == 77 and done.stderr == "this server's agent is of another version: run slipway provision\n"
    assert ask(gate, by_deployer(["id"]), "watch").stderr.startswith("this key may watch shop, and nothing else")


@pytest.mark.parametrize(("words", "may"), [((), "deploy"), (("watch",), "watch")])
def test_the_gate_starts_its_own_agent(gate, words, may):
    """With the kind of the key: it answers what a deploy asks, and no more."""
    asked = '{"id": 1, "do": "certificates", "args": {}}\n{"id": 2, "do": "command", "args": {"script": "id"}}\n'
    done = ask(gate, by_deployer(START), *words, input=asked)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0] == "--8<-- slipway" and '"id": 1' in lines[1], done
    assert f"this key may {may} shop, not command: use an administrator's key" in lines[2]


WRITER = """import os
path = path if safe else path + ".mine"
os.mkdir(path)
with open(path + "/__main__.py", "w") as file:
    file.write("import sys; print(sys.path[0], sys.argv)")
"""


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o757, 0o2755])
def test_the_agent_is_kept_where_only_root_can_write(tmp_path, mode):
    """A key's holder, or another account, cannot put a program there; the next login finds the agent."""
    folder = tmp_path / "shop"
    folder.mkdir()
    folder.chmod(mode)
    start = ["python3", str(folder / "agent")]
    agent = binascii.b2a_base64(zlib.compress(WRITER.encode()))
    call = f"from slipway.deploy.server import gate; gate.main('shop', [], {start}, [], {agent})"
    env = {**os.environ, "SSH_ORIGINAL_COMMAND": shlex.join(start)}
    done = subprocess.run([sys.executable, "-c", call], env=env, capture_output=True, text=True, check=True)
    (written,) = folder.iterdir()
    assert done.stdout == f"{written} ['agent', 'read', 'shop', 'deploy']\n"
    assert written.name == ("agent.mine" if mode & 0o22 else "agent")
    if not mode & 0o22:
        again = subprocess.run([sys.executable, "-c", call], env=env, capture_output=True, text=True, check=True)
        assert again.stdout == done.stdout


def lines_of(*words):
    parser = argparse.ArgumentParser()
    logs.add_arguments(parser)
    return parser.parse_args(search.join_values(words))


@pytest.mark.parametrize(
    "words",
    [
        ("-n", "100"),
        ("-f", "-n", "5"),
        ("--since", "-1h", "--until", "-1m", "--grep", "it's (a|b) [é]"),
        ("--role", "nginx", "--level", "error", "-n", "9"),
        ("--request", "-3f2a3f2a", "--release", "v1.2", "-n", "9"),
        ("--role", "backup", "-n", "9"),
        ("--role", "postgres", "-n", "9"),
    ],
)
def test_what_slipway_logs_asks_is_let_in(fleet, words):
    from slipway.deploy.server.gate import asked, reads_log

    args = lines_of(*words)
    command = search.journalctl(logs.names_in_journal(fleet, args.role), args)
    line = Ssh().command("web1", command)[-1]
    assert asked(line, PREFIX) == command and reads_log(command, keys.names_in_journal(fleet))


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
