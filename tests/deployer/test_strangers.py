"""Containers that hold the names of our units: `slipway status` names them, and a deploy does not wait for them."""

import pytest

from slipway.deploy.agent import disk, docker, facts, slots, strangers
from slipway.deploy.agent.host import Problem

BEAT = (
    "the container shop-beat runs, but shop-beat.service has not started it, and waits for its end: run docker stop "
    "shop-beat on this host"
)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("shop-beat", "shop-beat.service"),
        ("shop-web-b", "shop-web@b.service"),
        ("shop-postgres", "docker-service@shop-postgres"),
        ("shop-redis", ""),  # nobody has asked for one here
        ("shop-migrate", ""),  # an operator's command
        ("blog-beat", ""),
    ],
)
def test_whose_name_it_has(machine, name, unit):
    for kind in ("postgres", "wal"):
        disk.write(f"{machine.host.etc}-{kind}", "")
    machine.host.strangers = [name]
    found = facts.collect(machine.host)["strangers"]
    assert found == ([BEAT.replace("shop-beat.service", unit).replace("shop-beat", name)] if unit else [])


def test_our_own_are_no_strangers(machine):
    assert machine.host.up and facts.collect(machine.host, health=True)["strangers"] == []


def test_facts_ask_docker_once(machine, monkeypatch):
    """A host with many containers takes long to list them."""
    asked, ask = [], docker.ask
    monkeypatch.setattr(
        docker, "ask", lambda host, method, path, *words: asked.append(path) or ask(host, method, path, *words)
    )
    facts.collect(machine.host, health=True)
    assert sorted(path.partition("?")[0] for path in asked) == ["/containers/json", "/info"]


def test_docker_that_fails_is_named_elsewhere(machine, monkeypatch):
    def fail(*words):
        raise Problem("Docker does not answer")

    machine.host.strangers = ["shop-beat"]
    monkeypatch.setattr("slipway.deploy.agent.docker.ask", fail)
    assert strangers.problems(machine.host) == []


@pytest.mark.parametrize("name", ["shop-web-IDLE", "shop-beat"])
def test_a_deploy_fails_at_once(machine, name):
    """It says which container it is. What ran before still runs."""
    host = machine.host
    before, host.strangers = dict(host.up), [name.replace("IDLE", slots.other(slots.live(host)))]
    with pytest.raises(Problem, match=f"the container {host.strangers[0]} runs, but "):
        machine.begun("deploy", "v2", 99)
    machine.settle()
    assert host.up == before


def test_a_rollback_needs_no_beat(machine):
    machine.attempt("deploy", "v2")
    machine.host.strangers = ["shop-beat"]
    machine.begun("rollback", "v1", 99)
    assert machine.host.up[f"shop-web@{slots.live(machine.host)}.service"][0] == "v1"
