"""The agent as it is sent, and its lock: one deployer holds it, and others learn who that is."""

import ast
import itertools
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from deployer.simulated import Simulated
from slipway.deploy.agent import lock as locks
from slipway.deploy.agent import retirement
from slipway.deploy.agent.host import Problem
from slipway.deploy.server.render import render
from slipway.deploy.ssh import bootstrap, unpack

FIRST = "deploy v2 by ann from laptop since now"


@pytest.fixture
def host(tmp_path):
    return Simulated(tmp_path / "root")


def lock(host, monkeypatch, came):
    """Lock the host; return who has the lock instead, or None, and how often systemd-run started an agent. `came`:
    returns systemd-run's error if another process has just taken the unit's name, else nothing."""
    started = []

    def run(words, stderr, **options):
        said = came()
        stderr.write(b"Failed to start transient service unit: Unit shop-deploy.service " + said + b".\n")
        if not said:
            started.append(words)
        done = subprocess.CompletedProcess(words, 1 if said else 0)
        if options.get("check"):
            done.check_returncode()
        return done

    monkeypatch.setattr(locks.subprocess, "run", run)
    Path(host.run, "agent-1").mkdir()
    return locks.lock(host, f"{host.run}/agent-1", FIRST, 30)["locked"], len(started)


@pytest.mark.parametrize("message", [b"was already loaded or has a fragment file", b"already exists"])
def test_who_comes_at_the_same_moment_is_told(host, monkeypatch, message):
    assert lock(host, monkeypatch, lambda: message) == ("by somebody else, a moment ago", 0)


@pytest.mark.parametrize("lasts, locked", [(2, None), (99, "retirement of slot b")])
def test_a_retirement_that_comes_at_the_same_moment_is_waited_for(host, monkeypatch, lasts, locked):
    now, asked = [0], []

    def holder(host):
        asked.append("retirement of slot b" if len(asked) % 3 and now[0] < 50 * lasts else None)  # free, held, held
        return asked[-1]

    monkeypatch.setattr(locks, "who_holds_lock", holder)
    monkeypatch.setattr(
        locks, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + 50))
    )
    came = lock(host, monkeypatch, lambda: b"already exists" if now[0] < 50 * lasts else b"")
    assert came == (locked, int(locked is None)) and now[0] < 180


@pytest.mark.parametrize("folder", ["/run/other/agent-1", "/tmp/agent-x/agent"])
def test_an_agent_in_a_temporary_folder_gets_no_lock(host, monkeypatch, folder):
    with pytest.raises(Problem, match="cannot hold the agent: run slipway provision first"):
        locks.lock(host, folder, FIRST, 30)


def test_agents_of_earlier_versions_do_not_stay(host):
    for name, age in {"agent.1": 2, "agent.2": 0.5, "agent.3": 2, "other": 2}.items():
        os.makedirs(f"{host.run}/{name}/slipway")
        os.utime(f"{host.run}/{name}", times=(0, time.time() - age * 86_400))
    retirement.drop_agents(host, f"{host.run}/agent.3")
    assert {"agent.2", "agent.3", "other"} == {name for name in os.listdir(host.run) if name[:5] in ("agent", "other")}


def test_two_connections_write_an_agent_at_the_same_moment(host):
    files = {f"a/{number}.py": "x = 1\n" * 1000 for number in range(20)}

    def write(number):
        return unpack.write_files(f"{host.run}/agent-{number}", files)

    for turn in range(10):
        with mock.patch.object(unpack.os, "getpid", itertools.count().__next__), ThreadPoolExecutor(4) as pool:
            assert {*pool.map(write, [turn] * 4)} == {f"{host.run}/agent-{turn}"}
        assert len([*Path(host.run, f"agent-{turn}/a").iterdir()]) == 20
    assert len([*Path(host.run).glob("agent-*")]) == 10


TEXTS = {
    **bootstrap.agent_files(),
    "unpack": Path(unpack.__file__).read_text(),
    "balancer_hosts": render("balancer_hosts.py", {}),
}


@pytest.mark.parametrize("text", [*filter(str.strip, TEXTS.values())], ids=[*filter(TEXTS.get, TEXTS)])
def test_python_3_9_reads_it(text):
    tree = ast.parse(text, feature_version=(3, 9))
    imports = [(node.module, node.names[0].name) for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert ("__future__", "annotations") in imports or not re.search("^ *def ", text, re.MULTILINE)
