"""What befalls a fleet, and what its team is told: the whole command, a real program as its hook, a clock that jumps.

Each is told once, and once when it is over.
"""

import argparse
import asyncio
import functools
import json
from unittest import mock

import pytest

from slipway.deploy import config
from slipway.deploy.commands import watch
from slipway.deploy.rollout import hooks
from slipway.deploy.ssh import connection
from deployer.agents import Agent, Pipe, fine, line
from deployer.clock import held, run

BEGIN, END = 1200, 3000  # seconds; until then all is well, and from then on
DISK = 9 * 10**9


def dark(number, share=1.0, period=1):
    """The first hosts, so many, answer nothing; with a share of each period alone."""
    return {"silent": lambda host, since: host <= number and since % period < period * share}


def failing(share):
    """A share of answers are errors."""
    return {"errors": share}


SITUATIONS = {  # name: hosts, what befalls them, the rule that is told
    "all killed": (3, dark(3), "hosts_up"),
    "three of five killed": (5, dark(3), "hosts_up"),
    "one of five dark": (5, dark(1), ""),
    "one of two dark": (2, dark(1), "hosts_up"),
    "one of two flaps": (2, dark(1, 2 / 3, 180), "hosts_up"),
    "one of two flaps fast": (2, dark(1, 0.75, 120), "hosts_up"),
    "one of two flaps slowly": (2, dark(1, 0.5, 400), "hosts_up"),
    "one of two is away for a moment, now and then": (2, dark(1, 0.1, 600), ""),
    "4 % errors": (2, failing(0.04), ""),
    "6 % errors": (2, failing(0.06), "errors"),
    "errors that come and go": (2, {"errors": 0.5, "comes": lambda since: since % 240 < 30}, "errors"),
    "no figures": (2, {"figures": False}, "figures"),
    "beat is silent": (2, {"age": "beat"}, "beat"),
    "worker is silent": (2, {"age": "worker"}, "worker"),
    "a full disk": (2, {"free": 10**9}, "disk"),
    "one of two is ill": (2, {"ill": True}, "hosts_up"),
}


@functools.cache
def fleet_of(hosts):
    """So many web hosts, the first also with a worker and beat."""
    roles = {f"web{number}": {"roles": ["web"] + ["worker", "beat"] * (number == 1)} for number in range(1, hosts + 1)}
    return config.build({"app": "shop", "image": "x", "media": "bucket", "hosts": roles}, {}, "test")


class World:
    """Hosts that something befalls from BEGIN to END."""

    def __init__(self, fleet, silent=lambda host, since: False, errors=0.0, comes=lambda since: True, figures=True,
                 age="", free=DISK, ill=False):
        self.fleet, self.silent, self.errors, self.comes = fleet, silent, errors, comes
        self.figures, self.age, self.free, self.ill = figures, age, free, ill
        self.good = self.bad = self.counted = 0

    @property
    def since(self):
        """How long it has befallen them; None while it does not."""
        now = asyncio.get_running_loop().time()
        return now - BEGIN if BEGIN <= now < END else None

    def agent(self, address):
        """Its agent, or None where nobody answers."""
        number = int(address.removeprefix("web"))

        def away():
            return self.since is not None and self.silent(number, self.since)

        def facts(message):
            return [] if away() else [line({"id": message["id"], "ok": self.facts(number)})]
        return None if away() else Agent(fine(self.fleet), odd={"facts": facts})

    def facts(self, number):
        """What a host says."""
        said = json.loads(json.dumps(fine(self.fleet)["facts"]))
        units, now = said["slots"]["a"]["units"], self.since is not None
        units["worker"] = {**units["web"], "health": "consuming"}
        if now and self.ill and number == 1:
            units["web"]["health"] = "/readyz answers 503"
        if not (now and not self.figures):
            units["web"]["figures"] = self.lines()
        said["free"] = {"/d": self.free if now and number == 1 else DISK}
        return said

    def lines(self):
        """Its /metrics: ten answers a second since it was last asked; one count for all hosts is enough."""
        now, since = asyncio.get_running_loop().time(), self.since
        grown, self.counted = (now - self.counted) * 100, now
        bad = grown * self.errors if since is not None and self.comes(since) else 0
        self.bad, self.good = self.bad + bad, self.good + grown - bad
        ages = {part: 600 if since is not None and part == self.age else 5 for part in ("worker", "beat")}
        return [f'http_requests_total{{status="{kind}"}} {round(many)}'
                for kind, many in (("2xx", self.good), ("5xx", self.bad))] + [
            f'celery_heartbeat_age_seconds{{part="{part}"}} {age}' for part, age in ages.items()]


async def heard(world, seconds):
    """Run the command on those hosts for so many seconds, ended as by TERM; its exit code."""
    async def start(words, *rest, **options):
        return Pipe(world.agent(words[words.index("--") + 1]))

    async def hook(*words):
        with held():
            return await failure(*words)
    failure = hooks.failure
    with mock.patch.object(connection, "start", start), mock.patch.object(hooks, "failure", hook):
        task = asyncio.create_task(watch.handle(world.fleet, argparse.Namespace(once=False, json=True, hosts="")))
        await asyncio.sleep(seconds)
        task.cancel()
        return await task


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_is_told_once_and_once_when_it_is_over(tmp_path, capfd, name):
    """By a program that is run for each alert, in the hour and a half around it."""
    hosts, befalls, rule = SITUATIONS[name]
    fleet = fleet_of(hosts)
    (tmp_path / "hook").write_text(f"#!/bin/sh\ncat >>{tmp_path}/told\necho >>{tmp_path}/told\n")
    (tmp_path / "hook").chmod(0o755)
    (tmp_path / "told").touch()
    with mock.patch.dict(fleet.hooks, alert=str(tmp_path / "hook")):
        assert run(heard(World(fleet, **befalls), 5400)) == 0
    told = [json.loads(text) for text in (tmp_path / "told").read_text().splitlines()]
    assert [(alert["rule"], alert["state"]) for alert in told] == [(rule, "broken"), (rule, "over")] * bool(rule)
    if told:
        looked = [json.loads(text) for text in capfd.readouterr().out.splitlines()]
        assert [event["rule"] for event in looked if event["event"] == "alert"] == [rule] * 2
