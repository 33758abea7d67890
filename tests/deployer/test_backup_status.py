"""Status, watch and the page: their words about backups that were killed, or that cannot bring each second back."""

import argparse
import asyncio
import fcntl
import json
import subprocess
import time

import pytest

from deployer.agents import Agent, agents
from deployer.clock import run
from deployer.conftest import fleet_of
from deployer.test_backup import APART, NOW, TO, WELL
from deployer.test_backup_commands import answers_of
from slipway.deploy import backup_status
from slipway.deploy.agent import backups as agent
from slipway.deploy.agent.host import Host
from slipway.deploy.backup.shell import told
from slipway.deploy.commands import docker_backup, watch
from slipway.deploy.hosts import Hosts

RUNS = WELL["runs"]
KILLED = {**RUNS, "drill": {**RUNS["drill"], "killed": NOW - 60}}
LOST = {**RUNS, "wal": {**RUNS["wal"], "problem": "the place lacks a segment", "since": NOW - 600}}


def problems(runs):
    return [*backup_status.problems({**WELL, "runs": runs}, ["base", "wal", "files", "drill"], 3600)]


def test_what_was_killed_is_told():
    """An earlier success does not hide it."""
    assert problems(KILLED) == [f"backup: the drill that began at {told(NOW - 60)} was killed"]
    never_ended = {"problem": "", "killed": NOW - 60}
    assert problems({**RUNS, "drill": never_ended})[1] == "backup: there is no drill yet: slipway drill"
    assert problems({**RUNS, "prune": never_ended}) == [f"backup: the prune that began at {told(NOW - 60)} was killed"]


def test_seconds_that_cannot_come_back_are_told():
    lost = f"backup: no second after {told(NOW - 600)} can be restored yet"
    assert problems(LOST) == ["backup: wal: the place lacks a segment", lost]
    assert problems({**RUNS, "wal": {**RUNS["wal"], "since": 0}}) == []


@pytest.mark.parametrize("runs", [KILLED, LOST])
def test_status_and_watch_fail_for_them(data, capsys, runs):
    """With the time in this machine's zone."""
    fleet = fleet_of(data, {"hosts": APART, "backup": TO, "media": "local"})
    args = argparse.Namespace(hosts="", json=False, once=True)
    with agents(lambda host: Agent(answers_of(fleet, runs=runs))):
        assert asyncio.run(Hosts(fleet).status(args)) == 1
        assert problems(runs)[0] in capsys.readouterr().out
        assert run(watch.handle(fleet, args)) == 1
        assert problems(runs)[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("record", "running", "killed"),
    [
        ({"began": NOW, "ended": NOW - 60, "at": NOW - 90, "problem": ""}, False, NOW),
        ({"began": NOW, "ended": NOW - 60, "at": NOW - 90, "problem": ""}, True, None),
        ({"began": NOW - 90, "ended": NOW - 60, "at": NOW - 90, "problem": ""}, False, None),
        ({"began": NOW}, False, NOW),
        ({"at": NOW, "problem": ""}, False, None),
    ],
)
def test_the_agent_tells_a_killed_run_from_one_that_runs(tmp_path, monkeypatch, record, running, killed):
    """It has not ended, and its lock is free. An answer to the agent does not take the lock."""
    monkeypatch.setattr(Host, "states", lambda host, *units: {unit: {"ActiveState": "active"} for unit in units})
    for path, text in (
        ("var/backups/shop/state.json", json.dumps({"drill": record})),
        ("run/docker-backup/shop.drill", ""),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    with open(tmp_path / "run/docker-backup/shop.drill") as file:
        if running:
            fcntl.flock(file, fcntl.LOCK_EX)
        run = agent.collect(Host("shop", str(tmp_path)))["runs"]["drill"]
        assert run.get("killed") == killed and run["problem"] == ""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("later", [{"began": NOW, "ended": NOW + 1}, {"began": NOW + 1, "ended": NOW}])
def test_a_run_that_ends_while_the_agent_looks_was_not_killed(tmp_path, monkeypatch, later):
    """Nor one after which another has begun."""
    records = iter([{"drill": {"began": NOW, "ended": NOW - 60}}, {"drill": later}])
    monkeypatch.setattr(agent, "recorded", lambda host: next(records))
    monkeypatch.setattr(Host, "states", lambda host, *units: {unit: {"ActiveState": "active"} for unit in units})
    assert "killed" not in agent.collect(Host("shop", str(tmp_path)))["runs"]["drill"]
    assert next(records, None) is None


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "UTC"])
def test_docker_backup_tells_times_in_this_machine_s_zone(monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        now = int(time.time())
        there = ["env", f"TZ={docker_backup.zone()}", "date", "+%Y-%m-%d %H:%M:%S %z", f"--date=@{now}"]
        done = subprocess.run(there, capture_output=True, text=True, check=True, timeout=10)
        assert done.stdout.strip() == told(now)
    finally:
        monkeypatch.undo()
        time.tzset()
