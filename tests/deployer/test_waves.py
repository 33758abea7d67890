"""Flips in waves, over the whole road of a deploy, with stand-ins for agents."""

import itertools

import pytest

from slipway.deploy import config
from slipway.deploy.errors import DeployError
from slipway.deploy.rollout.rollout import Rollout
from deployer.agents import Agent, agents, fine, line
from deployer.clock import run

SICK = {"event": "sick", "problem": "web has ended", "more": {}}


def deploy(data, odd=()):
    """The events of a deploy to eight web hosts, and its error. `odd`: host name → Agent's."""
    data["hosts"] = {f"web{number}": {"roles": ["web"]} for number in range(8)}
    data["rollout"] = {"canary": 0, "bake": 0}
    fleet, told, numbers = config.build(data, {}, "test"), [], itertools.count()

    def make():
        return Agent(fine(fleet), dict(odd).get(f"web{next(numbers)}"))
    with agents(make):
        try:
            return told, run(Rollout(fleet, list(fleet.app_hosts), told.append, "deploy", "v2").run())
        except DeployError as error:
            return told, error


def flips(told, *states):
    """The hosts' flips, each run of the same state as one text."""
    found = [(event["state"], event["host"]) for event in told
             if event["event"] == "step" and event["step"] == "flip" and event["state"] in states]
    return [" ".join(host for _, host in group) for _, group in itertools.groupby(found, lambda one: one[0])]


def test_a_wave_begins_when_the_last_has_ended(data):
    """1, 2, 4 and so on: each only when all hosts before have answered through nginx."""
    told, error = deploy(data)
    assert error is None
    assert flips(told, "start", "done")[::2] == ["web0", "web1 web2", "web3 web4 web5 web6", "web7"]


@pytest.mark.parametrize("sick", ["web0", "web2"])
def test_a_host_that_falls_ill_ends_the_waves(data, sick):
    """A host that is well as it flips, and not a moment later, keeps the next wave from its flip: all go back."""
    def flip(message):
        return [line({"id": message["id"], "ok": {}}), line(SICK)]
    told, error = deploy(data, {sick: {"flip": flip}})
    assert str(error).splitlines()[0] == f"{sick}: watch: web has ended" and "taken back" in str(error)
    assert flips(told, "start") == ["web0" if sick == "web0" else "web0 web1 web2"]


def test_no_history_is_asked_for(data):
    """Which would be most of what many hosts have to say."""
    asked = []

    def facts(message):
        asked.append(message["args"]["history"])
        return []
    deploy(data, {"web1": {"facts": facts}})
    assert asked == [False]


def test_a_host_that_does_not_flip_ends_the_waves(data):
    """Its failure is the deploy's."""
    def flip(message):
        return [line({"id": message["id"], "problem": "broken", "more": {}})]
    told, error = deploy(data, {"web1": {"flip": flip}})
    assert str(error).splitlines()[0] == "web1: flip: broken"
    assert flips(told, "start") == ["web0 web1 web2"]
