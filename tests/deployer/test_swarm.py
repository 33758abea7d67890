"""Docker Swarm without a swarm: the toml, the stack, the meaning of Docker's answers, a simulated rollout."""

import argparse
import asyncio
import dataclasses
import json
import math
from types import SimpleNamespace
from unittest import mock

import pytest

from deployer import clock, viewed
from deployer.agents import Agent, agents
from proc import ROOT
from slipway.deploy import config
from slipway.deploy.__main__ import COMMANDS
from slipway.deploy.engine import engine_of
from slipway.deploy.errors import DeployError, Divided, Refused
from slipway.deploy.swarm import manager, rollout, state
from slipway.deploy.swarm.stack import ATTEMPT, ID, RELEASES, Release, proxy_config, stack
from slipway.deploy.swarm.state import Service, State
from slipway.deploy.view import problems
from slipway.deploy.view import state as view_state
from slipway.deploy.view.swarm import SwarmCollector

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43 + " ci"
ONE = Release("v1", "r.example/shop@sha256:" + "1" * 64, "shop.settings.1.aa", (), "somebody")
TWO = Release("v2", "r.example/shop@sha256:" + "2" * 64, "shop.settings.2.bb", ["CERT.3"], "somebody")
DATA = {
    "app": "shop",
    "image": "r.example/shop",
    "media": "bucket",
    "memory": "2g",
    "hosts": {
        "web1": {"roles": ["web", "smtp"], "internal": "10.0.0.1"},
        "work": {"roles": ["worker", "beat"], "internal": "10.0.0.2"},
    },
    "process": {"smtp": {"command": "manage smtp --port 2525", "ready": "port 2525", "ports": ["25:2525"]}},
    "engine": {"kind": "swarm", "replicas": {"web": 8, "worker": 2, "beat": 1, "smtp": 1}},
}


@pytest.fixture
def fleet():
    return config.build(DATA, {}, "x")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"media": "local"}, 'media: "local" files would differ'),
        ({"registry": "ssh"}, 'registry: has no effect with engine.kind = "swarm"'),
        ({"engine": {"kind": "swarm", "replicas": {"web": 1}}}, "engine.replicas.smtp: is needed"),
        (
            {"process": {"smtp": {"command": "x"}, "digest": {"command": "x", "schedule": "daily"}}},
            'process.digest.schedule: has no effect with engine.kind = "swarm"',
        ),
        ({"engine": {"kind": "swarm", "replicas": {"web": 1, "smtp": 0, "beat": 2}}}, "only one beat"),
        ({"engine": {"kind": "hosts", "replicas": {"web": 1}}}, "is only for engine.kind"),
        ({"hosts": {"a": {"roles": ["web"], "internal": "10.0.0.1", "opts": "-e A=1"}}}, "hosts.a.opts: has no effect"),
        ({"hosts": {"swarm": {"roles": ["web"], "internal": "10.0.0.1"}}}, "hosts.swarm: the name is"),
        ({"process": {**DATA["process"], "proxy": {"command": "x"}}}, "process.proxy: the name is taken"),
        ({"process": {"smtp": {"command": "x", "ports": ["127.0.0.1:25:25"]}}}, "Swarm publishes on all addresses"),
    ],
)
def test_what_the_file_must_not_say(change, message):
    with pytest.raises(Refused, match=message):
        config.build({**DATA, **change}, {}, "x")


REFUSED = ["watch", "errors", "backup", "backups", "restore", "drill", "dump", "upgrade", "dbshell"]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_swarm_refuses(fleet, command):
    """One line says so and what to do, never to add what production.toml must not say; docs/swarm.md lists them all."""
    given = argparse.Namespace(command=command, hosts="")
    if command not in REFUSED:
        engine_of(fleet).refuse(given)
        return
    with pytest.raises(Refused) as refused:
        engine_of(fleet).refuse(given)
    line = str(refused.value)
    assert line.startswith(f'{command} does not work with engine.kind = "swarm", which ') and "\n" not in line
    assert "[backup]" not in line and "role" not in line and ": " in line
    table = (ROOT / "docs/swarm.md").read_text().partition("\n\n## What is kept")[0]
    assert f"`{command}`" in table
    engine_of(dataclasses.replace(fleet, engine=None)).refuse(given)


@pytest.mark.parametrize(
    "change, key",
    [
        ({"backup": {"to": "s3://bucket/x"}}, "`[backup]`"),
        ({"hosts": {"a": {"roles": ["web", "postgres"], "internal": "10.0.0.1"}}}, "`postgres`"),
        ({"hosts": {"a": {"roles": ["web", "redis"], "internal": "10.0.0.1"}}}, "`redis`"),
        ({"deploy_keys": [KEY]}, "`deploy_keys`"),
        ({"watch_keys": [KEY]}, "`watch_keys`"),
        ({"opts": "-e A=1"}, "`opts`"),
    ],
)
def test_keys_that_swarm_refuses(change, key):
    """docs/swarm.md lists them all."""
    with pytest.raises(Refused, match=r'engine\.kind = "swarm"'):
        config.build({**DATA, **change}, {}, "x")
    assert key in (ROOT / "docs/swarm.md").read_text().partition("\n\n## What is kept")[0]


def test_what_services_name_is_there(fleet):
    made = stack(fleet, [ONE, TWO], "a")
    assert made["configs"]["settings"] == {"external": True, "name": "shop.settings.2.bb"}
    assert made["secrets"] == {"CERT.3": {"external": True, "name": "shop.file.CERT.3"}}
    for one in made["services"].values():
        assert {each["source"] for each in one.get("secrets", ())} <= made["secrets"].keys()
        assert {each["source"] for each in one["configs"]} <= made["configs"].keys()
        assert json.loads(one["deploy"]["labels"][RELEASES])[-1][0] == "v2"
        assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["user"] == "10001"
    web = made["services"]["web"]
    assert web["environment"]["SETTINGS_FILE"] == web["configs"][0]["target"] and web["image"] == TWO.image
    assert made["services"]["smtp"]["ports"] == [{"target": 2525, "published": 25, "protocol": "tcp", "mode": "host"}]


def test_containers_change_with_what_they_are_made_of_alone(fleet):
    def ids(*releases):
        return {name: one["labels"][ID] for name, one in stack(fleet, releases, str(releases))["services"].items()}

    assert ids(ONE) == ids(TWO, ONE) and ids(ONE)["proxy"] == ids(TWO)["proxy"]
    assert not {*ids(ONE).values()} & ({*ids(TWO).values()} - {ids(TWO)["proxy"]})
    assert "server-template web 20 tasks.web:8000\n" in proxy_config(fleet)[1]


def state_of(count="2/2", update="", before=True, made="new"):
    """Return the state that the script's output describes: one service, web, with two containers wanted."""
    spec = {
        "Name": "shop_web",
        "Labels": {RELEASES: json.dumps([ONE]), ATTEMPT: "a"},
        "TaskTemplate": {"ContainerSpec": {"Labels": {ID: made}}},
    }
    service = {"ID": "s", "Spec": spec, "UpdateStatus": {"State": update}, **({"PreviousSpec": {}} if before else {})}
    return state.parse(
        "shop", f"{json.dumps([service])}\nshop_web {count} \nshop.settings.9.a shop.settings.10.b shop.proxy.c "
    )


@pytest.mark.parametrize(
    "count, update, before, done",
    [
        ("2/2", "completed", state_of(made="old"), True),
        ("3/2", "completed", state_of(made="old"), True),  # one of them on a host that is lost
        ("2/2", "", state_of(made="new"), True),  # the service does not change
        ("2/2", "", state_of(made="old"), False),  # Docker has not begun
        ("2/2", "updating", state_of(made="old"), False),
        ("1/2", "completed", state_of(made="old"), False),
        ("1/2", "", State({}, ""), False),
        ("2/2", "", State({}, ""), True),
    ],
)
def test_when_a_deploy_is_done(count, update, before, done):
    seen = state_of(count, update)
    assert state.has_converged(seen, ["web"], "a", before) is done
    assert not done or not [*state.problems(seen)]
    assert seen.settings == "shop.settings.10.b"


@pytest.mark.parametrize("update, attempt", [("rollback_started", "a"), ("paused", "a"), ("", "another")])
def test_when_a_deploy_has_failed(update, attempt):
    with pytest.raises(DeployError, match="web: a new container exited"):
        state.has_converged(state_of(update=update), ["web"], attempt, State({}, ""))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "x",
        "[]",
        "{}",
        "[1]\n\n\n",
        "[" * 9999,
        '[{"Spec": {}}]\n\n\n',
        "[]\n\nshop.settings.x\n",
        '[{"Spec": {"Name": "shop_web", "Labels": {"slipway.releases": "[1]"}}}]\nshop_web 1/1\n\n',
        '[{"Spec": {"Name": "shop_web", "Labels": {}, "Data": "?"}}]\nshop_web x\n\n',
    ],
)
def test_what_managers_say_is_not_trusted(fleet, monkeypatch, message):
    """An answer that cannot be read is refused in one line, whatever was asked."""

    async def answer(*words):
        return SimpleNamespace(code=0, err=b"", out=message.encode())

    monkeypatch.setattr(manager, "run", answer)
    going = rollout.Rollout(fleet, lambda event: None, "deploy", "v2")
    for ask in (going.manager.state, lambda: going.manager.settings("x"), lambda: going._release(State({}, "x"))):
        with pytest.raises(Refused, match="invalid answer"):
            asyncio.run(ask())


def test_where_a_rollback_goes():
    assert rollout.previous_release([ONE, TWO, ONE._replace(tag="v3")], "v1") == ONE
    assert rollout.previous_release([ONE, TWO, TWO._replace(who="again")]) == ONE
    for releases, tag in (([ONE], ""), ([], ""), ([ONE, TWO], "v9"), ([ONE, TWO], "v2")):
        with pytest.raises(Refused, match=r"no earlier release|release .* is not kept"):
            rollout.previous_release(releases, tag)


class Played:
    """A swarm that runs ONE; web's update fails. `said`: our commands; `before`: Docker keeps an old state."""

    def __init__(self, before):
        self.before, self.calls, self.attempt = before, [], ""

    def service(self, name):
        mine = self.attempt
        update = ("paused" if name == "web" else "updating") if mine else "completed"
        return Service([ONE, TWO] if mine else [ONE], mine, self.before, update, str(mine), 1, 1)

    async def state(self, until=0):
        return State(
            {name: self.service(name) for name in ("web", "worker", "beat", "smtp", "proxy")}, "shop.settings.2.bb"
        )

    async def settings(self, name):
        return "CERT_FILE=/run/secrets/CERT.3\n"

    async def keep(self, kind, name, content):
        self.calls.append(f"keep {kind}")

    async def run(self, words, timeout):
        self.calls.append("job " + words[4])

    async def docker(self, *words, input=b"", timeout=0):
        if words[:2] == ("stack", "deploy"):
            labels = json.loads(input.replace(b"$$", b"$"))["services"]["web"]["deploy"]["labels"]
            self.attempt = labels[ATTEMPT]
            self.calls.append(f"put {json.loads(labels[RELEASES])[-1][0]}")
        return json.dumps([{"RepoDigests": [TWO.image]}])


@pytest.mark.parametrize(
    "before, error, message, put",
    [(False, DeployError, "taken back: v1 serves", ["v2", "v1"]), (True, Divided, "not taken back completely", ["v2"])],
)
def test_what_docker_does_not_take_back(fleet, monkeypatch, before, error, message, put):
    """If Docker has already rolled back by itself, the old stack is deployed. A takeback that hangs is reported."""
    monkeypatch.setattr(rollout, "PAUSE", 0.01)
    monkeypatch.setattr(rollout, "TAKEBACK", 0.2 if before else 60)
    going = rollout.Rollout(fleet, lambda event: None, "deploy", "v2")
    going.manager = Played(before)
    with pytest.raises(error, match=message):
        asyncio.run(going.run())
    assert [word.removeprefix("put ") for word in going.manager.calls if word.startswith("put")] == put


async def watched(fleet, seconds):
    """Watch the hosts and the services for so long; return what the page then shows."""
    collector = SwarmCollector(fleet, asyncio.get_running_loop().time)
    task = asyncio.create_task(collector.watch())
    await asyncio.sleep(seconds)
    shown = view_state.page(fleet, collector.watched, collector.now())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return shown


def test_what_the_page_shows(fleet):
    """Of hosts what nginx and the machine tell; of services what a manager does."""
    asked, seen = [], iter([Refused("swarm: no manager answers"), state_of("1/2", "updating")])

    async def manager_state(self):
        if isinstance(answer := next(seen), Refused):
            raise answer
        return answer

    with (
        agents(lambda name: Agent({"pulse": viewed.PULSE}, asked=asked)),
        mock.patch.object(manager.Manager, "state", manager_state),
        mock.patch.object(problems, "SKEW", math.inf),  # the hosts' clock stands still
    ):
        before = clock.run(watched(fleet, 5))
        after = clock.run(watched(fleet, 5))
    assert before["hosts"][-1]["silent"] == "swarm: no manager answers"
    assert before["swarm"] == ["unknown: swarm: no manager answers"]
    assert before["sources"]["releases"]["asked"] == {} and after["sources"]["releases"]["asked"] == {"swarm": 0}
    *hosts, swarm = after["hosts"]
    assert [host["name"] for host in hosts] == ["web1", "work"] and hosts[0]["pulse"]["load"] == 0.42
    assert not any(host["silent"] for host in after["hosts"]) and after["visitors"]["hosts"] == ["web1"]
    [web] = swarm["processes"]
    assert (web["role"], web["release"], web["state"]) == ("web", "v1", "1 of 2 containers, updating")
    assert [each["text"] for each in swarm["problems"]] == ["web: 1 of 2 containers run, updating"]
    assert after["swarm"] == ["v1: somebody"]
    assert [host["state"] for host in after["hosts"]] == ["answers", "answers", "problem"], "hosts are asked for less"
    assert {*asked} == {"pulse"}, "agents of a swarm's hosts know no releases"
