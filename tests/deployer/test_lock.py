"""The lock: one holds it, who comes meanwhile is told whose it is, and systemd takes the host back when he is gone."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from slipway.deploy import agent
from slipway.deploy.agent import disk, serve
from deployer.simulated import Simulated
from proc import ROOT

FIRST = "deploy v2 by ann from laptop since now"


class Systemd:
    """Stands in for systemd-run: a unit's name is free or not; `came`: who takes it while nobody looks."""

    def __init__(self, host, came=""):
        self.host, self.came, self.started = host, came, []

    def run(self, words, stderr, **options):
        if self.came:
            stderr.write(b"Failed to start transient service unit: Unit shop-deploy.service " + self.came + b".\n")
            return SimpleNamespace(returncode=1)
        self.started.append(words)
        return SimpleNamespace(returncode=0)


@pytest.fixture
def host(tmp_path):
    return Simulated(tmp_path / "root")


def lock(host, monkeypatch, systemd):
    monkeypatch.setattr(serve.subprocess, "run", systemd.run)
    return serve.lock(host, b"program", "agent-1.py", FIRST, 30)


def test_who_holds_the_lock_is_asked_first(host, monkeypatch):
    """While its unit runs nothing is started, and its description is told."""
    systemd = Systemd(host)
    host.up["shop-deploy.service"] = ("", "")
    monkeypatch.setattr(host, "states", lambda *units: {
        "shop-deploy.service": {"ActiveState": "deactivating", "Description": "deploy v1 by bob"}})
    assert lock(host, monkeypatch, systemd) == {"locked": "deploy v1 by bob"}
    assert not systemd.started


def test_the_lock_is_one_unit_with_a_watchdog(host, monkeypatch):
    """Its name is the app's, so that there is one; it ends with its deployer, is killed when it hears nothing, and its
    end, however it comes, takes the host back."""
    systemd = Systemd(host)
    assert lock(host, monkeypatch, systemd)["locked"] is None
    words, = systemd.started
    assert words[0] == "systemd-run" and {"--pipe", "--wait", "--collect"} <= set(words)
    assert [word for word in words if word.startswith("--unit")] == ["--unit=shop-deploy"]
    assert f"--description={FIRST}" in words
    properties = dict(word.split("=", 1) for before, word in zip(words, words[1:]) if before == "-p")
    assert (properties["WatchdogSec"], properties["WatchdogSignal"]) == ("30", "SIGKILL")
    assert properties["ExecStopPost"].endswith(" takeback shop") and words[-3:-1] == ["work", "shop"]


@pytest.mark.parametrize("said", [b"was already loaded or has a fragment file", b"already exists"])
def test_who_comes_at_the_same_moment_is_told(host, monkeypatch, said):
    """Both found nobody; systemd lets one in, and the other hears that it is locked, though the first may be gone."""
    assert lock(host, monkeypatch, Systemd(host, said))["locked"] == "by somebody who came a moment before"


@pytest.mark.parametrize("lasts, locked", [(2, None), (99, "retirement of slot b")])
def test_a_retirement_that_comes_at_the_same_moment_is_waited_for(host, monkeypatch, lasts, locked):
    """It takes the lock after nobody was found to hold it. However many come, one after the other, they are waited for
    two minutes in all: before the deployer gives up, it hears who has the lock."""
    now, asked, systemd = [0.0], [], Systemd(host, b"already exists")

    def holder(host):
        asked.append("retirement of slot b" if len(asked) % 3 and now[0] < 50 * lasts else None)  # free, taken, held
        return asked[-1]

    def wait(seconds):
        now[0] += 50
        systemd.came = b"already exists" if now[0] < 50 * lasts else b""
    monkeypatch.setattr(serve, "holder", holder)
    monkeypatch.setattr(serve, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=wait))
    assert lock(host, monkeypatch, systemd)["locked"] == locked
    assert now[0] < 180 and len(systemd.started) == (locked is None)


def test_two_agents_come_at_the_same_moment(host):
    """Each writes the agent down for systemd, and none is in the other's way."""
    program, failed = b"x = 1\n" * 100_000, []

    def store(number):
        try:
            for turn in range(20):
                disk.store_agent(f"{host.run}/agent-{turn}.py", program + b"# %d" % turn)
        except Exception as error:
            failed.append(error)
    threads = [threading.Thread(target=store, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_retirement_keeps_its_own_agent_alone(host):
    """Those of earlier versions go, with their code; what else the folder holds stays."""
    names = {"agent-1.py", "agent-1.pyc", "agent-2.py", "agent-2.pyc", "a.tag"}
    for name in names:
        Path(host.run, name).touch()
    before = {*os.listdir(host.run)}
    disk.drop_other_agents(host.run + "/agent-1.py")
    assert before - {*os.listdir(host.run)} == {"agent-2.py", "agent-2.pyc"}


def test_a_lock_that_fails_is_an_answer(tmp_path):
    """Where the app has no folder yet, the agent says so and goes on; it does not die, nor take on a step."""
    lines = [{"id": 1, "do": "lock", "args": {"description": FIRST, "dead_after": 30}},
             {"id": 2, "do": "decide", "args": {"id": "x"}}, {"id": 3, "do": "prepare", "args": {}}]
    (tmp_path / "agent.py").write_text(agent.bundle())
    done = subprocess.run([sys.executable, tmp_path / "agent.py", "read", "no-such-app-here"], cwd=ROOT, text=True,
                          input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, timeout=60)
    answers = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    assert [answer["id"] for answer in answers] == [1, 2, 3] and "problem" in answers[0], done.stderr
    assert answers[2] == {"id": 3, "problem": "the lock has ended: see journalctl -u no-such-app-here-deploy.service",
                          "more": {}}, "a step for an agent that was killed"
