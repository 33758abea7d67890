"""The agent as it is sent, and its lock: one deployer holds it, and others learn who that is."""

import ast
import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from slipway.deploy.agent import serve
from slipway.deploy.agent.host import Problem
from slipway.deploy.server.render import render
from slipway.deploy.ssh import bootstrap, unpack
from deployer.simulated import Simulated

FIRST = "deploy v2 by ann from laptop since now"


class Systemd:
    """A stand-in for systemd-run. `came`: its error if another process has just taken the unit's name, or empty."""

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
    return serve.lock(host, agent_of(host, "agent-1"), FIRST, 30)


@pytest.mark.parametrize("said", [b"was already loaded or has a fragment file", b"already exists"])
def test_who_comes_at_the_same_moment_is_told(host, monkeypatch, said):
    assert lock(host, monkeypatch, Systemd(host, said))["locked"] == "by somebody else, a moment ago"


@pytest.mark.parametrize("lasts, locked", [(2, None), (99, "retirement of slot b")])
def test_a_retirement_that_comes_at_the_same_moment_is_waited_for(host, monkeypatch, lasts, locked):
    now, asked, systemd = [0.0], [], Systemd(host, b"already exists")

    def holder(host):
        asked.append("retirement of slot b" if len(asked) % 3 and now[0] < 50 * lasts else None)  # free, held, held
        return asked[-1]

    def wait(seconds):
        now[0] += 50
        systemd.came = b"already exists" if now[0] < 50 * lasts else b""
    monkeypatch.setattr(serve, "holder", holder)
    monkeypatch.setattr(serve, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=wait))
    assert lock(host, monkeypatch, systemd)["locked"] == locked
    assert now[0] < 180 and len(systemd.started) == (locked is None)


@pytest.mark.parametrize("folder", ["/run/other/agent-1", "/tmp/agent-x/agent"])
def test_an_agent_in_a_temporary_folder_gets_no_lock(host, monkeypatch, folder):
    with pytest.raises(Problem, match="cannot hold the agent: run make provision first"):
        serve.lock(host, folder, FIRST, 30)


def agent_of(host, name):
    Path(host.run, name).mkdir()
    return f"{host.run}/{name}"


def test_two_connections_write_an_agent_at_the_same_moment(host):
    files = {f"a/{number}.py": "x = 1\n" * 1000 for number in range(20)}

    def write(number):
        return unpack.written(f"{host.run}/agent-{number}", files)
    for turn in range(10):
        with mock.patch.object(unpack.os, "getpid", itertools.count().__next__), ThreadPoolExecutor(4) as pool:
            assert {*pool.map(write, [turn] * 4)} == {f"{host.run}/agent-{turn}"}
        assert len([*Path(host.run, f"agent-{turn}/a").iterdir()]) == 20
    assert len([*Path(host.run).glob("agent-*")]) == 10


def test_a_retirement_drops_old_agents(host):
    """It keeps its own, and one that started within the hour: its connection may lock this host later."""
    own, recent, old = (agent_of(host, f"agent-{name}") for name in ("1", "2", "3"))
    for path in (own, old, Path(host.run, "agent-of-before.py"), Path(host.run, "a.tag")):
        Path(path).touch()
        os.utime(path, (1, 1))
    serve.drop_old_agents(own)
    assert {path.name for path in Path(host.run).glob("a*")} == {"agent-1", "agent-2", "a", "a.tag"}


TEXTS = {**bootstrap.files(), "unpack": Path(unpack.__file__).read_text(),
         "consul_hosts": render("consul_hosts.py", {})}


@pytest.mark.parametrize("text", [*filter(str.strip, TEXTS.values())], ids=[*filter(TEXTS.get, TEXTS)])
def test_python_3_9_reads_it(text):
    tree = ast.parse(text, feature_version=(3, 9))
    imports = [(node.module, node.names[0].name) for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert ("__future__", "annotations") in imports or not re.search("^ *def ", text, re.MULTILINE)
