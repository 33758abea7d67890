"""`watch`: the whole command on hosts that are played, a real program as its hook, by a clock that jumps."""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from unittest import mock

import pytest

from slipway.deploy import config
from slipway.deploy.commands import watch
from slipway.deploy.monitor.rules import Rules, ill
from slipway.deploy.rollout import hooks
from slipway.deploy.ssh import connection
from deployer.agents import Agent, Pipe, fine, line
from deployer.clock import held, run
from proc import ROOT, wait_until

BEGIN, END = 1200, 3000  # seconds; until then all is well, and from then on
ROOM = 9 * 10**9


def dark(number, share=1.0, period=1):
    """The first hosts, so many, cannot be reached; with a share of each period alone."""
    return {"gone": lambda host, since: host <= number and since % period < period * share}


SITUATIONS = {  # name: hosts, what befalls them, the rule that is told, the hosts that it names
    "all killed": (3, dark(3), "hosts_up", ["web1", "web2", "web3"]),
    "two of five dark": (5, dark(2), "hosts_up", ["web1", "web2"]),
    "one of five dark": (5, dark(1), "", []),
    "one of two silent": (2, {"silent": True}, "hosts_up", ["web1"]),
    "one of two ill": (2, {"ill": True}, "hosts_up", ["web1"]),
    "one of two flaps": (2, dark(1, 2 / 3, 180), "hosts_up", ["web1"]),
    "one of two is away for a moment, now and then": (2, dark(1, 0.1, 400), "", []),
    "a full disk": (5, {"free": 10**9}, "disk", ["web1"]),
}


class World:
    """Hosts that something befalls from BEGIN to END: `gone(number, seconds since BEGIN)` says which are; the first is
    silent or ill, or has little room."""

    def __init__(self, hosts, gone=lambda host, since: False, silent=False, ill=False, free=ROOM):
        roles = {f"web{number}": {"roles": ["web"]} for number in range(1, hosts + 1)}
        self.fleet = config.build({"app": "shop", "image": "x", "media": "bucket", "hosts": roles}, {}, "test")
        self.gone, self.silent, self.ill, self.free, self.connections = gone, silent, ill, free, []

    def agent(self, number):
        """A host's agent, or None where it cannot be reached."""
        def since():
            now = asyncio.get_running_loop().time()
            return now - BEGIN if BEGIN <= now < END else None

        def away():
            return since() is not None and self.gone(number, since())

        def facts(message):
            said, odd = fine(self.fleet)["facts"], since() is not None and number == 1
            said["free"] = {"/d": self.free if odd else ROOM, "/run": 1}
            if odd and self.ill:
                said["slots"]["a"]["units"]["web"]["health"] = "/readyz answers 503"
            return [] if away() or odd and self.silent else [line({"id": message["id"], "ok": said})]
        return None if away() else Agent(fine(self.fleet), odd={"facts": facts})

    async def start(self, words, *rest, **options):
        """In place of ssh."""
        self.connections.append(Pipe(self.agent(int(words[words.index("--") + 1].removeprefix("web")))))
        return self.connections[-1]


async def command(world, once=False, json=True):
    """The exit code of the command on those hosts; ended as by TERM after an hour and a half."""
    async def hook(*words):
        with held():
            return await failure(*words)
    failure = hooks.failure
    with mock.patch.object(connection, "start", world.start), mock.patch.object(hooks, "failure", hook):
        task = asyncio.create_task(watch.handle(world.fleet, argparse.Namespace(once=once, hosts="", json=json)))
        asyncio.get_running_loop().call_later(5400, task.cancel)
        return await task


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_is_told_once_and_once_when_it_is_over(tmp_path, capfd, name):
    """By a program that is run for each alert, in the hour and a half around it; other hosts are heard meanwhile."""
    hosts, befalls, rule, about = SITUATIONS[name]
    world = World(hosts, **befalls)
    world.fleet.hooks["alert"] = f"cat >>'{tmp_path}/told'; echo >>'{tmp_path}/told'"
    (tmp_path / "told").touch()
    assert run(command(world)) == 0
    told = [json.loads(text) for text in (tmp_path / "told").read_text().splitlines()]
    assert [(alert["rule"], alert["state"]) for alert in told] == [(rule, "broken"), (rule, "over")] * bool(rule)
    assert all(alert["hosts"] == about for alert in told[:1])
    events = [json.loads(text) for text in capfd.readouterr().out.splitlines()]
    assert [event["rule"] for event in events if event["event"] == "alert"] == [rule] * 2 * bool(rule)
    others = [event["text"] for event in events if event.get("host") == f"web{hosts}"]
    assert others == ["up"] or f"web{hosts}" in about
    assert all(pipe.gone for pipe in world.connections), "no connection is left behind"


def test_a_hook_that_fails_is_run_again(tmp_path, capfd):
    """At each look until it succeeds, and alerts keep their order."""
    world = World(2, **dark(1))
    world.fleet.hooks["alert"] = (f"echo x >>'{tmp_path}/runs'; test $(wc -l <'{tmp_path}/runs') -gt 3 &&"
                                  f" cat >>'{tmp_path}/told'")
    assert run(command(world, json=False)) == 0
    assert len((tmp_path / "runs").read_text().split()) == 5
    assert [part.partition('"')[0] for part in (tmp_path / "told").read_text().split('"state": "')[1:]] == [
        "broken", "over"]
    said = capfd.readouterr().out.splitlines()
    assert said.count("hooks.alert: exit 1: it is run again") == 3
    assert said[-1] == "shop: hosts_up is over: 2 of 2 hosts up, the limit is 80 %"
    assert said[3].startswith("web1: cannot be reached: ")
    assert said[4] == "shop: hosts_up: 1 of 2 hosts up, the limit is 80 %: web1"


@pytest.mark.parametrize("gone, code, said", [
    (0, 0, ["shop: disk: 8583 MB of disk free, the limit is 2048 MB", "shop: hosts_up: 2 of 2 hosts up, the limit",
            "web1: up", "web2: up"]),
    (2, 1, ["shop: hosts_up: 0 of 2 hosts up, the limit is 80 %: web1, web2", "web1: cannot be", "web2: cannot be"])])
def test_once(capfd, monkeypatch, gone, code, said):
    """Each host's word and each rule in a line; 0 where all rules are kept. No hook runs."""
    world = World(2, **dark(gone))
    world.fleet.hooks["alert"] = "touch /nowhere/at/all"
    monkeypatch.setattr(sys.modules[__name__], "BEGIN", 0)
    assert run(command(world, once=True, json=False)) == code
    out = sorted(capfd.readouterr().out.splitlines())
    assert len(out) == len(said) and all(line.startswith(begin) for line, begin in zip(out, said)), out


@pytest.mark.parametrize("words, code, told", [(["watch"], 0, ""), (["watch", "--once"], 130, "deploy: interrupted\n")])
def test_a_signal_is_its_proper_end(tmp_path, words, code, told):
    """TERM and Ctrl-C end it with 0, whatever it waits for, and its ssh with it; one look has found nothing well."""
    (tmp_path / "x.toml").write_text('app = "shop"\nimage = "x"\n[hosts.silent]\nroles = ["web"]\n')
    (tmp_path / "ssh").write_text("#!/bin/sh\necho $$ >>$0.pids\nexec sleep 100\n")
    (tmp_path / "ssh").chmod(0o755)
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen([sys.executable, "-m", "slipway.deploy", "--config", tmp_path / "x.toml", *words],
                              cwd=ROOT, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            pids = tmp_path / "ssh.pids"
            wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), 60, "it asks")
            process.send_signal(number)
            assert (process.wait(60), process.stderr.read()) == (code, told)
        assert not os.path.exists(f"/proc/{pids.read_text().split()[0]}"), "its ssh is gone"
        pids.unlink()


def test_what_of_a_host_is_not_well():
    """A process that does not run, or is not ready; visitors whom nginx does not serve. One that a deploy pauses is."""
    host = config.Host("web1", "web1", ("web", "worker", "beat"))
    facts = fine(World(1).fleet)["facts"]
    units = facts["slots"]["a"]["units"]
    units["worker"] = {**units["web"], "health": "paused"}
    assert ill(host, facts) == ""
    assert ill(host, {**facts, "visits": {"answers": 0, "errors": 0, "blind": "nginx is away"}}) == "nginx is away"
    assert ill(host, {**facts, "live": None}) == "web is not there"
    units["web"]["health"] = "/readyz answers 503"
    assert ill(host, facts) == "web: /readyz answers 503"
    facts["alone"]["beat"]["state"] = "failed"
    assert ill(config.Host("w", "w", ("beat",)), facts) == "beat is failed"


def test_a_host_that_dies_of_its_disk_keeps_that_alert():
    """Until it is back, and has room."""
    rules, told = Rules(["web1", "web2"], 0.5, 2**30, 60, 0), []
    for now in range(0, 4000, 20):
        rules.hear("web2", "", now, 2**31)
        if not 600 < now < 2400:
            rules.hear("web1", "", now, 2**20 if 300 < now < 1000 else 2**31)
        told += [(now, state, rule.name) for state, rule in rules.changes(now)]
    assert told == [(320, "broken", "disk"), (2680, "over", "disk")]
