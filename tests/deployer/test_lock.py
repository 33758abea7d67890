"""The agent as it is sent, and its lock: one deployer holds it, and others learn who that is."""

import ast
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from slipway.deploy import agent
from slipway.deploy.agent import MODULES, disk, serve, text_of
from slipway.deploy.server.render import render
from deployer.simulated import Simulated
from proc import run

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
    return serve.lock(host, b"program", "agent-1.py", FIRST, 30)


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


def test_two_agents_come_at_the_same_moment(host):
    program = b"x = 1\n" * 100_000

    def store(number):
        for turn in range(20):
            disk.store_agent(f"{host.run}/agent-{turn}.py", program + b"# %d" % turn)
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(store, range(4))] == [None] * 4


def test_a_retirement_keeps_its_own_agent_alone(host):
    names = {"agent-1.py", "agent-1.pyc", "agent-2.py", "agent-2.pyc", "a.tag"}
    for name in names:
        Path(host.run, name).touch()
    before = {*os.listdir(host.run)}
    disk.drop_other_agents(host.run + "/agent-1.py")
    assert before - {*os.listdir(host.run)} == {"agent-2.py", "agent-2.pyc"}


TEXTS = {name: text_of(name) for name in ("start", *MODULES)} | {"consul_hosts": render("consul_hosts.py", {})}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_python_3_9_reads_it(text):
    tree = ast.parse(text, feature_version=(3, 9))
    imports = [(node.module, node.names[0].name) for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert ("__future__", "annotations") in imports


def test_types_are_not_sent(tmp_path):
    (tmp_path / "agent.py").write_text(agent.bundle())
    code = ("import sys\nspace = {}\nexec(open('agent.py').read(), space)\n"
            "print(sys.modules['agent.answers'].Facts, 'typing' in sys.modules)")
    done = run([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path)
    assert done.stdout == "None False\n", done.stderr
