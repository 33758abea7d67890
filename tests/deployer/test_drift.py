"""Every file that provisioning writes is compared by `slipway status` and deploys, or stands here with its reason."""

import argparse
import asyncio
import binascii
import re
import zlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
from pyinfra.operations import files

from deployer import recipes
from deployer.agents import Agent, agents, fine, other_content
from deployer.conftest import fleet_of
from deployer.recipes import Plan
from deployer.test_plan import DEPLOY
from slipway.deploy import config
from slipway.deploy.agent import provisioned
from slipway.deploy.hosts import Hosts
from slipway.deploy.provisioning import named
from slipway.deploy.rollout import drift, preflight
from slipway.deploy.server import keys, services
from slipway.deploy.ssh import bootstrap
from slipway.deploy.swarm.engine import Swarm
from slipway.deploy.swarm.manager import Manager
from slipway.deploy.swarm.state import State

ALL = ["web", "worker", "beat", "postgres", "redis"]
APART = {
    "web1": {"roles": ["web"], "internal": "10.0.0.11"},
    "web2": {"roles": ["web"], "internal": "10.0.0.12:8080"},
    "work": {"roles": ["worker", "beat", "digest", "smtp"]},
    "db1": {"roles": ["postgres", "redis"], "internal": "10.0.0.20"},
    "front": {"balancer": True, "internal": "10.0.0.10"},
}
PROCESSES = {
    "digest": {"command": "manage digest", "schedule": "daily"},
    "smtp": {"command": "manage smtp", "overlap": True},
}
KEYS = {"deploy_keys": [f"ssh-ed25519 {'A' * 68} ci"]}
TO = {"backup.to": "/mnt/nas/shop"}
CERTBOT = {"site.tls": "certbot", "site.email": "ops@shop.example"}
FLEETS = {
    "one server": {"hosts": {"one": {"roles": ["web", "worker", "beat"]}}, "media": "local"},
    "one server with its data": {"hosts": {"one": {"roles": ALL}}, "media": "local", **TO, **KEYS},
    "several": {"hosts": APART, "process": PROCESSES, **TO, **KEYS, **CERTBOT},
    "several with TLS": {"hosts": APART, "process": PROCESSES, "service": {kind: {"tls": True} for kind in ALL[3:]}},
    "a name": {"hosts": {**APART, "db1": {**APART["db1"], "internal": "db1.lan"}}, "process": PROCESSES},
    "Consul": {"balancer": "consul", "watch_keys": KEYS["deploy_keys"]},
    "a dump": {"hosts": {"one": {"roles": ["web"]}}, "media": "local", **TO, "backup.dump": "postgres:17"},
    "swarm": {
        "hosts": {"web1": {"roles": ["web"], "internal": "10.0.0.1"}, "work": {"roles": ["worker", "beat"]}},
        "engine": {"kind": "swarm", "replicas": {"web": 2, "worker": 1, "beat": 1}},
        "site": {},
    },
}
# Paths, as patterns → why nobody compares these files.
NOT_COMPARED = {
    r"/etc/docker/daemon\.json": "is the team's, too",
    r"/etc/nginx/shop-balancer/hosts\.conf": "balancer-hosts writes who is ready",
    r"/var/www/shop/(media|data)": "the team may have mounted a disk or a share here",
}
# Paths, as patterns → why mode and owner of these files are compared, and not what is in them.
UNKNOWN_CONTENT = {
    r"/etc/default/shop\.env": "the team's settings, with secrets",
    r"/etc/default/shop\.services": "has passwords",
    r"/etc/default/shop-redis\.d/redis\.conf": "has a password",
    r"/etc/default/shop\.backup": "the repository's password and keys",
    r"/etc/default/shop-(postgres|redis)\.(env|key)": "passwords, a private key",
    r"/etc/default/shop\.services\.d/\w+\.crt": "the data's host makes this certificate",
}
ONLY_OF = {r"/etc/default/shop-(postgres|redis)": "a name"}  # only the host knows the address that the name has there
SECRETS = {"postgres": "3f0a-of-postgres", "redis": "3f0a-of-redis"}
CREDENTIALS = replace(recipes.CREDENTIALS, passwords=SECRETS, repository="RESTIC_PASSWORD=3f0a-of-restic\n")


@pytest.fixture(params=FLEETS)
def made(request, data, monkeypatch):
    """A fleet; host → path → the file or folder that the recipe makes on the bare host, as its content (None of a
    folder), mode, owner and group; patterns of those whose content nobody compares."""
    fleet = fleet_of(data, FLEETS[request.param])
    listen = {host.name: host.internal_address for host in fleet.hosts if host.services}
    certificates = {service.kind: "a certificate\n" for service in fleet.services if service.tls}
    monkeypatch.setattr(recipes, "CREDENTIALS", replace(CREDENTIALS, listen=listen, certificates=certificates))
    folders = {}

    def directory(name, path, **owned):
        if owned:
            folders[path] = (None, owned["mode"], owned["user"], owned["group"])
        return files.directory(name=name, path=path, **owned)

    monkeypatch.setattr(named, "files", SimpleNamespace(directory=directory))
    unknown = [*UNKNOWN_CONTENT, *(path for path, name in ONLY_OF.items() if name == request.param)]
    return fleet, {host.name: written(fleet, host.name, folders) for host in fleet.hosts}, unknown


def written(fleet, name, folders):
    folders.clear()
    plan = Plan(fleet, name)
    files = {**plan.files, **folders}
    (host,) = (host for host in fleet.hosts if host.name == name)
    for service in services.of_host(fleet, host):  # by scripts, which services.py of provisioning has
        for end in ("env", "key") if service.tls else ("env",):
            files[f"/etc/default/shop-{service.kind}.{end}"] = ("3f0a-made there", "600", "root", "root")
    for script in plan.scripts:  # links of nginx's sites
        for target, link in re.findall(r"^ln -sfn (\S+) (\S+)$", script, re.MULTILINE):
            files[link] = files[link.rpartition("/sites-enabled/")[0] + target.removeprefix("..")]
    return {re.sub(r"/etc/nginx\.new-[^/]+|(?<=-deploy)\.new$", in_place, path): text for path, text in files.items()}


def in_place(match):
    return "/etc/nginx" if "nginx" in match[0] else ""


def state_of(file):
    content, mode, owner, group = file
    return provisioned.state(mode, f"{owner}:{group}", None if content is None else content.encode())


def fits(patterns, path):
    return any(re.fullmatch(each, path) for each in patterns)


def test_every_written_file_is_compared(made):
    """With the very content, mode and owner that provisioning gives it; and nothing else is expected."""
    fleet, by_host, unknown = made
    for host in fleet.hosts:
        files, expected = by_host[host.name], preflight.expected_files(fleet, host)
        states = {path: state_of(file) for path, file in files.items()}
        left = [path for path in states if path not in expected and not fits(NOT_COMPARED, path)]
        assert not left, f"{host.name}: compare these files, or say why not"
        for path, state in expected.items():
            parts = states[path].split(" ")[: 2 if fits(unknown, path) else 3] if state else [""]
            assert state.split(" ") == parts, path


def test_a_changed_mode_or_owner_of_any_file_is_named(made):
    """Of a file with a secret, too, and of its folder."""
    fleet, by_host, _ = made
    for host in fleet.hosts:
        expected = preflight.expected_files(fleet, host)
        states = {path: state_of(file) for path, file in by_host[host.name].items()}
        assert [*preflight.file_problems(expected, states)] == []
        for path in set(states) & set(expected):
            mode, owner, *digest = states[path].split(" ")
            (of_mode,) = preflight.file_problems(expected, {**states, path: " ".join(["666", owner, *digest])})
            of_both = " ".join(["2777", f"ann:{host.name}", *digest])
            (of_both,) = preflight.file_problems(expected, {**states, path: of_both})
            assert of_mode == f"differs from this checkout in {path} (mode 666, not {mode}): run slipway provision"
            assert f"{path} (mode 2777, not {mode}, owner ann:{host.name}, not {owner}): run slipway" in of_both


def test_a_deploy_key_may_ask_for_these_files_and_for_no_secret_s_hash(made):
    fleet, by_host, _ = made
    for host in fleet.hosts:
        assert all(provisioned.is_provisioned(fleet.app, path) for path in preflight.expected_files(fleet, host))
        for path, (content, *_) in by_host[host.name].items():
            secret = "3f0a-" in (content or "") or path.endswith(".env")
            assert not (secret and provisioned.is_hashed(fleet.app, path)), path


def test_keys_that_production_toml_no_longer_has_are_missed(data):
    """A key that still lets somebody in is a difference."""
    fleet = fleet_of(data, {})
    path = "/var/lib/shop-deploy/.ssh/authorized_keys"
    expected = preflight.expected_files(fleet, fleet.hosts[0])
    assert [*preflight.file_problems(expected, expected)] == []
    (problem,) = preflight.file_problems(expected, {**expected, path: f"644 root:root {'0' * 64}"})
    assert problem == f"differs from this checkout in {path}: run slipway provision"


def test_a_gate_s_agent_counts_and_not_its_compression(data, monkeypatch):
    """Which the zlib of who provisions decides."""
    fleet = fleet_of(data, KEYS)
    program = zlib.decompress(binascii.a2b_base64(bootstrap.sent()))

    def digest(program, level):
        sent = binascii.b2a_base64(zlib.compress(program, level))
        monkeypatch.setattr(bootstrap, "sent", lambda: sent)
        return provisioned.digest_of(keys.gate(fleet).content.encode())

    here = digest(program, 9)
    assert (
        here
        == digest(program, 1)
        == preflight.expected_files(fleet, fleet.hosts[0])["/usr/local/sbin/shop-gate"].split(" ")[2]
    )
    assert here != digest(program + b"\n", 9)
    gate = keys.gate(fleet).content
    assert here != provisioned.digest_of(gate.replace("REFUSED = 77", "REFUSED = 78").encode())
    shorter = re.sub(r".(?=\\n'\)\n\Z)", "", gate)
    assert len(shorter) == len(gate) - 1 and here != provisioned.digest_of(shorter.encode()), "no base64"


def test_many_files_are_one_short_line(fleet):
    expected = preflight.expected_files(fleet, fleet.hosts[0])
    files = dict.fromkeys(expected, f"644 root:root {'0' * 64}")
    (problem,) = preflight.file_problems(expected, files)
    assert problem.endswith(f"/shop.conf and {len(files) - 3} more: run slipway provision"), problem


def answers_of(fleet, changed, in_host):
    """Return a function of a host's name → the answers of its agent. One file of one host has other content."""

    def answers(name):
        made = fine(fleet)
        host = next(host for host in fleet.hosts if host.name == name or host.address == name)
        made["facts"]["files"] = preflight.expected_files(fleet, host)
        if name == in_host:
            assert changed in made["facts"]["files"]
            made["facts"]["files"][changed] = other_content(made["facts"]["files"][changed])
        made["services"] = {"services": {kind: {**SERVICE} for kind in host.services}}
        return made

    return answers


SERVICE = {"state": "active", "since": "Fri 2026-11-27 20:11:00 UTC", "version": "17.5", "size": "9 MB"}
SERVICE |= {"connections": "8", "outdated": False}


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("web2", "/usr/local/bin/docker-runner"),
        ("web2", "/etc/nginx/shop/common.conf"),
        ("work", "/usr/local/bin/docker-slot"),
        ("front", "/usr/local/bin/balancer-hosts"),
        ("front", "/etc/nginx/sites-enabled/shop-balancer"),
        ("db1", "/usr/local/bin/docker-service"),
        ("db1", "/etc/default/shop-postgres.d/pg_hba.conf"),
    ],
)
def test_status_fails_for_a_changed_file_of_any_host(data, capsys, host, path):
    """Also of hosts that have no release: a balancer, and one that has only services."""
    hosts = {**APART, "work": {"roles": ["worker", "beat"]}}
    fleet = fleet_of(data, {"hosts": hosts})
    assert status(fleet, "", "") == 0, capsys.readouterr().out
    assert status(fleet, path, host) == 1
    assert f"on {host}: differs from this checkout in {path}: run slipway provision" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/usr/local/bin/docker-stop", True),
        ("/etc/nginx/shop/app.conf", True),
        ("/usr/local/bin/docker-backup", False),
        ("/etc/default/shop-postgres", False),
        ("/var/lib/shop-deploy/.ssh/authorized_keys", False),
    ],
)
def test_a_deploy_needs_what_runs_it_alone(data, path, refused):
    """It waits for no backup, and touches no service. Status tells of each."""
    fleet = fleet_of(data, FLEETS["one server with its data"])
    facts = {"one": {**fine(fleet)["facts"], "history": []}}
    assert preflight.problems(fleet, fleet.hosts, facts, DEPLOY) == {} == drift.problems(fleet, fleet.hosts, facts)
    facts["one"]["files"] = {**facts["one"]["files"], path: other_content(facts["one"]["files"][path])}
    text = {"one": [f"differs from this checkout in {path}: run slipway provision"]}
    assert preflight.problems(fleet, fleet.hosts, facts, DEPLOY) == (text if refused else {})
    assert drift.problems(fleet, fleet.hosts, facts) == text


@pytest.mark.parametrize(
    ("path", "refused"),
    [("/etc/nginx/shop/app.conf", False), ("/etc/default/shop.env", False), ("/usr/local/bin/docker-runner", True)],
)
def test_a_way_back_does_not_wait_for_nginx_s_files_or_settings(data, path, refused):
    fleet = fleet_of(data, FLEETS["one server with its data"])
    facts = {"one": {**fine(fleet)["facts"], "history": []}}
    facts["one"]["files"] = {**facts["one"]["files"], path: f"666 root:root {'0' * 64}"}
    assert bool(preflight.problems(fleet, fleet.hosts, facts, replace(DEPLOY, action="rollback"))) == refused
    assert preflight.problems(fleet, fleet.hosts, facts, DEPLOY)


def status(fleet, path, host):
    answers = answers_of(fleet, path, host)
    with agents(lambda name: Agent(answers(name))):
        return asyncio.run(Hosts(fleet).status(argparse.Namespace(hosts="", json=False)))


def test_status_of_a_swarm_compares_files_too(data, capsys, monkeypatch):
    fleet = fleet_of(data, FLEETS["swarm"])

    async def state(self):
        return State({}, "")

    monkeypatch.setattr(Manager, "state", state)
    for path, message in (("", ""), ("/etc/tmpfiles.d/shop.conf", "on work: differs from this checkout in")):
        answers = answers_of(fleet, path, "work" if path else "")
        with agents(lambda name, answers=answers: Agent(answers(name))):
            asyncio.run(Swarm(fleet).status(argparse.Namespace(json=False)))
        shown = capsys.readouterr().out
        assert message in shown and ("differs" in shown) == bool(path)


def test_variables_name_no_site(monkeypatch):
    """What only a file can set is not compared if HOSTS and the like name the fleet."""
    fleet = config.find({"HOSTS": "web1", "APP": "shop", "IMAGE": "r.example/shop"})
    expected = preflight.expected_files(fleet, fleet.hosts[0])
    assert "/usr/local/bin/docker-runner" in expected
    assert not [path for path in expected if path == "/etc/default/shop" or "nginx/" in path or "ssh" in path]
