"""`watch`: its rules on a simulated clock, and the command on simulated hosts, with a real program as its hook."""

import argparse
import asyncio
import dataclasses
import json
from unittest import mock

import pytest

from deployer.agents import Agent, agents, fine, line
from deployer.clock import held, run
from deployer.conftest import fleet_of
from slipway.deploy import config
from slipway.deploy.agent import certificates
from slipway.deploy.agent.groups import group_of_error
from slipway.deploy.commands import watch
from slipway.deploy.hosts import Hosts
from slipway.deploy.monitor import first_problem
from slipway.deploy.rollout import hooks
from slipway.deploy.watch_rules import Rules

BEGIN, END = 1200, 3000  # seconds; all is well before and after
ROOM = 2**31


def dark(number, share=1.0, period=1):
    """Return answers by which the first `number` hosts are away in a share of each period."""
    return lambda host, since: ("away" if host <= number and since % period < period * share else "", ROOM)


@pytest.mark.parametrize(
    "hosts, says, rule, about",
    [
        (3, dark(3), "hosts_up", ("web1", "web2", "web3")),
        (5, dark(2), "hosts_up", ("web1", "web2")),
        (5, dark(1), "", ()),
        (2, dark(1), "hosts_up", ("web1",)),
        (2, dark(1, 2 / 3, 180), "hosts_up", ("web1",)),
        (2, dark(1, 0.1, 400), "", ()),
        (5, lambda host, since: ("", 2**20 if host == 1 else ROOM), "disk", ("web1",)),
    ],
)
def test_a_rule_is_told_once_and_once_when_it_is_over(hosts, says, rule, about):
    names = [f"web{number}" for number in range(1, hosts + 1)]
    rules, told = Rules(names, 0.8, 2**30, 60, 0), []
    for now in range(0, 5400, 20):
        for number, name in enumerate(names, 1):
            problem, free = says(number, now - BEGIN) if BEGIN <= now < END else ("", ROOM)
            rules.note_host(name, problem, now, free)
        told += [(state, *answer_of) for state, answer_of in rules.changes(now)]
    assert [(state, name) for state, name, *_ in told] == ([("broken", rule), ("over", rule)] if rule else [])
    assert all(answer_of[3] == about for answer_of in told[:1])
    assert [answer_of.broken for answer_of in rules.states(now)] == [False, False]


async def command(fleet):
    """Run the command on two hosts, end it as TERM does after an hour and a half, and return its exit code."""
    fleet = dataclasses.replace(fleet, hosts=fleet.hosts[:2])

    async def hook(*words):
        with held():
            return await failure(*words)

    failure = hooks.failure
    with mock.patch.object(hooks, "failure", hook):
        task = asyncio.create_task(watch.handle(fleet, argparse.Namespace(once=False, hosts="", json=False)))
        asyncio.get_running_loop().call_later(5400, task.cancel)
        return await task


@pytest.mark.parametrize("silent", [False, True])
def test_a_hook_that_fails_is_run_again(fleet, tmp_path, capfd, silent):
    """From BEGIN to END the first of two hosts cannot be reached, or is silent."""
    fleet.hooks["alert"] = (
        f"echo x >>'{tmp_path}/runs'; test $(wc -l <'{tmp_path}/runs') -gt 3 &&"
        f" cat >>'{tmp_path}/told' && echo >>'{tmp_path}/told'"
    )

    def agent(host):
        def away():
            return "web1" in host and BEGIN <= asyncio.get_running_loop().time() < END

        return None if away() and not silent else Agent(fine(fleet), {"facts": lambda message: [] if away() else None})

    with agents(agent) as pipes:
        assert run(command(fleet)) == 0
    assert len((tmp_path / "runs").read_text().split()) == 5
    told = [json.loads(text) for text in (tmp_path / "told").read_text().splitlines()]
    assert [(alert["rule"], alert["state"], alert["hosts"]) for alert in told] == [
        ("hosts_up", "broken", ["web1"]),
        ("hosts_up", "over", []),
    ]
    said = [line[len("00:00:00 ") :] for line in capfd.readouterr().out.splitlines()]
    assert said.count("hooks.alert: exit code 1: it will be run again") == 3 and said.count("web2: up") == 1
    assert said[-1] == "shop: hosts_up is over: 2 of 2 hosts up, the minimum is 80 %"
    assert said.count("shop: hosts_up: 1 of 2 hosts up, the minimum is 80 %: web1") == 1
    why = "web1: no answer within 30 s" if silent else "web1: cannot be reached: "
    assert [text for text in said if text.startswith(why)]
    assert all(pipe.gone for pipe in pipes)


def test_what_of_a_host_is_not_well(fleet):
    host = config.Host("web1", "web1", ("web", "worker", "beat"))
    facts = fine(fleet)["facts"]
    units = facts["slots"]["a"]["units"]
    units["worker"] = {**units["web"], "health": "paused"}
    assert first_problem(host, facts) == ""
    assert first_problem(host, {**facts, "blind": "nginx is away"}) == "nginx is away"
    assert first_problem(host, {**facts, "strangers": ["of another app"]}) == "of another app"
    assert first_problem(host, {**facts, "live": None}) == "web is missing"
    units["web"]["health"] = "/readyz answers 503"
    assert first_problem(host, facts) == "web: /readyz answers 503"
    facts["alone"]["beat"]["state"] = "failed"
    assert first_problem(config.Host("w", "w", ("beat",)), facts) == "beat is failed"


def test_a_host_that_dies_of_its_disk_keeps_that_alert():
    rules, told = Rules(["web1", "web2"], 0.5, 2**30, 60, 0), []
    for now in range(0, 4000, 20):
        rules.note_host("web2", "", now, 2**31)
        if not 600 < now < 2400:
            rules.note_host("web1", "", now, 2**20 if 300 < now < 1000 else 2**31)
        told += [(now, state, rule.name) for state, rule in rules.changes(now)]
    assert told == [(320, "broken", "disk"), (2680, "over", "disk")]


@pytest.mark.parametrize(
    "days, message, status, broken",
    [(14.5, "", 0, False), (13.5, "ends", 0, True), (0.5, "ends", 0, True), (-1, "ended", 1, True)],
)
def test_a_certificate_that_ends(data, capsys, days, message, status, broken):
    """Also a balancer's: 14 days before, `status` tells of it, and a rule is broken. Once it has ended, `status`
    fails."""
    del data["hosts"]["work"]
    fleet = fleet_of(data, {"site.tls": "files", "site.certificate": "/c", "site.key": "/k"})
    asked, args = [], argparse.Namespace(hosts="", json=False, once=True)
    served = {"ends": {"shop.example": 1.8e9 + days * certificates.DAY}, "now": 1.8e9}
    answers = {**fine(fleet), "certificates": served}
    answers["facts"]["site"] = {"scheme": "https", "url": "https://shop.example"}
    with agents(lambda host: Agent(answers, asked=asked)):
        code = run(Hosts(fleet).status(args))
        shown = capsys.readouterr().out
        assert run(watch.handle(fleet, args)) == broken and asked.count("certificates") == 2
    line = f"front: the certificate of shop.example {message} on 20" if message else "certificate"
    assert (code, line in shown) == (status, bool(message)), shown
    assert ("shop: certificates: the certificate of shop.example " in capsys.readouterr().out) == broken
    with agents(lambda host: None if "front" in host else Agent(answers)):
        assert run(watch.handle(fleet, args)) == 1, "a balancer that cannot tell is no good news"
    assert "shop: certificates: unknown, as a host does not answer: front" in capsys.readouterr().out


@pytest.mark.parametrize(
    "how, until, told",
    [("silent", END, ["broken", "over"]), ("host is gone", END, ["broken", "over"]), ("silent", BEGIN + 30, [])],
)
def test_a_database_that_does_not_answer(data, capfd, how, until, told):
    """It is told once it has not answered for `ttl` seconds, or its host has not. A restart is shorter."""
    data["hosts"] = {"web1": {"roles": ["web"]}, "db1": {"roles": ["postgres"], "internal": "10.0.0.20"}}
    fleet = fleet_of(data, {})
    postgres = {"state": "active", "since": "", "size": "9 MB", "connections": "8", "outdated": False}

    def away():
        return BEGIN <= asyncio.get_running_loop().time() < until

    def services(message):
        if how == "host is gone" and away():
            return []
        facts = {"postgres": {**postgres, "version": "" if away() else "17.5"}}
        return [line({"id": message["id"], "ok": {"services": facts}})]

    with agents(lambda host: Agent(fine(fleet), {"services": services})):
        run(command(fleet))
    lines = [text for text in capfd.readouterr().out.splitlines() if "shop: services" in text]
    assert ["over" if "is over" in text else "broken" for text in lines] == told
    about = {
        "silent": "postgres does not answer, its unit is active: slipway logs --role postgres",
        "host is gone": "no answer within 30 s",
    }
    assert not told or lines[0].endswith(f"shop: services: {about[how]}: db1")


def test_a_new_error_is_told_once(fleet, capfd, tmp_path):
    """Of all hosts and looks; not what the release before had, too. A host that cannot search has an alert once that
    was so for as long as it would look back."""
    asked = []

    def amiss(message):
        return [line({"id": message["id"], "problem": "no journal", "details": {}})]

    def answer_of(message):
        asked.append(message["args"])
        names = ["a", "b", *"cdefghijk"] if len(asked) == 1 else "ab"
        told = [{**group_of_error(1, "web", (name,), "KeyError", name), "seen_before": name == "b"} for name in names]
        return [line({"id": message["id"], "ok": {"groups": told, "seen_before": [], "since": 1}})]

    fleet.watch["errors"], fleet.hooks["alert"] = True, f"cat >>'{tmp_path}/told'; echo >>'{tmp_path}/told'"
    with agents(lambda host: Agent(fine(fleet), {"errors": amiss if host == "web2" else answer_of})):
        assert run(command(fleet)) == 0
    texts = [json.loads(told)["text"] for told in (tmp_path / "told").read_text().splitlines()]
    assert texts[0] == "shop: errors: new error: KeyError a: slipway errors ecc7e62d: web1"
    assert [text.split()[5] for text in texts[:-1]] == [f"{name}:" for name in "acdef"], "at most five hooks at a time"
    assert texts[-1] == "shop: errors: errors are unknown: no journal: web2"
    out = [text.partition(" ")[2] for text in capfd.readouterr().out.splitlines() if "rror" in text]
    assert sorted(out) == sorted([*texts, "web2: errors are unknown: no journal"]) and len(asked) > 9
