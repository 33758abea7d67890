"""What a rollout asks of its hosts, which are stand-ins, and what it says."""

import argparse
import contextlib
from dataclasses import replace

import pytest

from deployer.agents import Agent, agents, fine, line
from deployer.clock import run
from deployer.noted import ERROR, MADE, OK, USED, less, noted
from slipway.deploy.commands import plan as plan_command
from slipway.deploy.errors import DeployError, Refused
from slipway.deploy.rollout import pending_verdicts, points, preflight
from slipway.deploy.rollout.rollout import Rollout


@pytest.mark.parametrize("live", ["v1", "v2"])
def test_nothing_goes_back_to_the_live_release(fleet, live):
    """If one host has another, it does."""
    found = fine(fleet)
    other = {**found, "facts": {**found["facts"], "tag": {"tag": live, "image_id": "sha256:2"}}}
    fails = pytest.raises(Refused, match=r"^v1 is live already$") if live == "v1" else contextlib.nullcontext()
    with agents(lambda host: Agent(other if "web2" in host else found)), fails:
        run(Rollout(fleet, fleet.app_hosts, lambda event: None, "rollback", "v1").plan())


@pytest.mark.parametrize("pending", [True, False])
def test_the_moment_before_the_migrations_is_noted(fleet, monkeypatch, pending):
    """For `slipway restore`. After them comes the moment of the commit."""
    events = []

    async def note_point(fleet, kind, tag, tell):
        events.append((kind, tag))

    monkeypatch.setattr(points, "note_point", note_point)
    found = fine(fleet)
    found["verdicts"]["applied"] = not pending
    odd = {do: lambda message: events.append(message["do"]) for do in ("migrate", "commit")}
    with agents(lambda host: Agent(found, odd if "web1" in host else {})):
        run(Rollout(fleet, fleet.app_hosts, lambda event: None, "deploy", "v2").run())
    assert events == [*([("before", "v2"), "migrate"] if pending else []), "commit", ("commit", "v2")]


@pytest.mark.parametrize("step", ["migrate", "promise"])
def test_a_cause_of_any_length_reaches_all_hosts(fleet, step):
    """Also the one that is lost, and asked anew. No host takes more than 2,000 characters."""
    causes = []

    def fail(message):
        return [line({"id": message["id"], "problem": 3000 * "x", "details": {}})]

    def decide(message):
        causes.append(message["args"]["cause"])

    def lost(message):
        return []

    def agent(host):
        if "web1" in host:
            return Agent(fine(fleet), {step: fail})
        return Agent(fine(fleet), {"decide": decide, **({"abort": lost} if "web2" in host else {})})

    with agents(agent), pytest.raises(DeployError, match="taken back: every host is as it was"):
        run(Rollout(fleet, fleet.app_hosts, lambda event: None, "deploy", "v2").run())
    assert causes and all(cause.startswith("web1: ") and len(cause) == 2000 for cause in causes if cause)


GONE = "column shop_item.note is gone: "


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize(
    "entries, uses, verdict",
    [
        ({"shop.0002": ERROR}, None, f"error: {GONE}"),
        ({"shop.0002": ERROR}, USED, f"error: {GONE}"),
        ({"shop.0002": ERROR}, {"shop_item": {"name": {}}}, "ok"),
        ({"shop.0002": {**OK, "warnings": ["it stays locked"]}}, USED, "warning: it stays locked"),
        ({"shop.0003": MADE, "shop.0002": less("lock_lock")}, None, "ok"),  # it breaks only what comes with it
    ],
)
def test_a_plan_fails_at_a_migration_that_would_be_refused(fleet, monkeypatch, capsys, entries, uses, verdict, allowed):
    """After it has shown all. What the live release uses is in its image, if this machine has it."""
    images = {"registry.example/shop:v2": {"postgresql": noted(entries)}}
    if uses is not None:
        images["registry.example/shop:v1"] = {"postgresql": noted({}, uses)}
    monkeypatch.setattr(pending_verdicts.verdicts, "in_image", lambda docker, name: images.get(name, {}))
    found = fine(fleet)
    found["facts"]["plan"] = "[X]  shop.0001\n"
    flags = ["--allow-incompatible"] if allowed else []
    parser = argparse.ArgumentParser()
    plan_command.add_arguments(parser)
    args = argparse.Namespace(hosts="", **vars(parser.parse_args(["v2", *flags])))
    fails = verdict.startswith("error") and not allowed
    with (
        agents(lambda host: Agent(found)),
        pytest.raises(DeployError, match=f"--allow-incompatible:\n  shop.0002: {GONE}")
        if fails
        else contextlib.nullcontext(),
    ):
        run(plan_command.handle(fleet, args))
    shown = capsys.readouterr()
    assert "commit" in shown.out and f"shop.0002 on postgresql: {verdict}" in shown.err


def ran(fleet, action="deploy", tag="v2", changes=None):
    """Run a rollout; return its events, and the messages that each host gets."""
    events, asked = [], {}
    found = {**fine(fleet), **(changes or {})}

    def agent(address):
        heard = asked.setdefault(address.rpartition("@")[2].partition(".")[0], {})
        real = Agent(found)

        def hear(message):
            heard.setdefault("abort" if "abort" in message else message["do"], message.get("args"))
            return real(message)

        return hear

    with agents(agent):
        run(Rollout(fleet, fleet.app_hosts, events.append, action, tag).run())
    return events, asked


def test_a_deploy_asks_for_all_that_it_decides_by(fleet):
    """Facts about provisioned files, the tag's records, and whether visitors can be watched; then all hosts are told
    that it has ended, and the result says what visitors saw."""
    events, asked = ran(fleet)
    assert {*asked} == {host.name for host in fleet.app_hosts}
    for host in fleet.app_hosts:
        paths = [*preflight.expected_files(fleet, host)]
        assert asked[host.name]["facts"] == {"paths": paths, "tag": "v2", "history": False, "blind": True}
        assert "end" in asked[host.name] and asked[host.name]["begin"]["action"] == "deploy"
    (result,) = [event for event in events if event["event"] == "result"]
    assert f"{3 * len(asked)} requests seen, 0 errors" in result["text"]


def test_the_live_release_is_started_again(fleet):
    """As a restart, which keeps REVERT."""
    found = fine(fleet)
    found["resolve"]["digest"] = "sha256:1"
    _, asked = ran(fleet, tag="v1", changes=found)
    assert {each["begin"]["action"] for each in asked.values()} == {"restart"}


@pytest.mark.parametrize("action, do", [("deploy", "resolve"), ("deploy", "pull"), ("rollback", "has_image")])
def test_the_registry_s_login_goes_with_each_request_for_an_image(fleet, monkeypatch, action, do):
    monkeypatch.setenv("LOGIN", "ann:secret")
    events, asked = ran(replace(fleet, registry_login="LOGIN"), action, "" if action == "rollback" else "v2")
    sent = [each[do]["credentials"] for each in asked.values() if do in each]
    assert {*sent} == {"ann:secret"} and "secret" not in str(events)


def test_a_rollback_tells_which_settings_are_back(fleet):
    events, _ = ran(fleet, "rollback", "", {"prepare": {"changed": ["GREETING"], "kept": "v1"}})
    (warning,) = [event for event in events if event["event"] == "warning"]
    assert warning["host"] == "web1, web2, work" and "changed: GREETING; newer ones are in" in warning["text"]
