"""Tests of deploys on a disk that fails or loses power: a release is complete, and nothing committed is lost."""

import contextlib
import os
from functools import partial
from unittest import mock

import pytest

from deployer.machine import Machine
from deployer.simulated import FOREVER, Killed, world
from slipway.deploy.agent import releases, serve, slots
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.steps.table import STEPS

fsync = os.fsync  # `world` replaces it


@pytest.fixture
def machine(tmp_path, failing_disk):
    """Yield a machine with v1 live, on a disk that may fail, except /run, which is in memory, and nginx's logs. Its
    state is not checked at every instant: tests/deployer/test_agent.py does that."""
    (tmp_path / "root/var").mkdir(parents=True)
    for folder in ("run", "var/log"):
        (tmp_path / "memory" / folder).mkdir(parents=True)
        (tmp_path / "root" / folder).symlink_to(tmp_path / "memory" / folder)
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        machine.host.watch = lambda: None
        machine.disk = failing_disk(tmp_path / "root")
        with mock.patch.object(os, "fsync", fsync):
            yield machine


def deployed(machine, tag, fuse=FOREVER):
    """Run the agent's steps until one fails. Return the problem, or None. The agent is killed after `fuse` effects from
    `prepare` on, the first step that writes to the disk."""
    attempt, said = Attempt(machine.host, program="/agent"), []
    for name, args in machine.steps("deploy", tag):
        machine.host.fuse = fuse if name == "prepare" else machine.host.fuse
        with mock.patch.object(serve, "say", said.append):
            serve.answer({"id": name}, partial(STEPS[name], machine.host, attempt, machine.say, **args))
        if "problem" in said[-1]:
            return said[-1]["problem"]
    return None


def records(machine):
    """Return the committed tags in the log. No line may be torn."""
    found, torn = releases.read_log(machine.host)
    assert not torn
    return [record["tag"] for record in found if record["outcome"] == "committed"]


def live(machine):
    """Return the committed release. It must be the one that visitors get."""
    machine.at_every_instant()
    tag = releases.read_tag(machine.host.tag)["tag"]
    assert slots.release_in(machine.host, slots.live(machine.host))["tag"] == tag
    return tag


FAULTS = [
    *((path + "*", operation, "EIO", None) for path in ("TAG", "releases.log") for operation in ("create", "fsync")),
    *((path + ".next", "rename", "EIO", None) for path in ("TAG", "releases.log")),  # FUSE removes open files by rename
    *((path + "*", "write", "ENOSPC", None) for path in ("TAG", "REVERT", "releases.log")),
    ("shop*", "fsyncdir", "EIO", None),
    ("releases.log*", "write", "EIO", 100),
]
SAID = {"EIO": "Input/output error", "ENOSPC": "No space left on device"}


@pytest.mark.parametrize("path, operation, errno, torn", FAULTS)
def test_a_disk_that_fails(path, operation, errno, torn, machine):
    """One line reports it, the old release stays complete, and the next deploy succeeds."""
    with machine.disk.failing(f"var/www/*{path}", operation, errno=errno, torn=torn):
        problem = deployed(machine, "v2")
        assert problem.endswith(SAID[errno]) and "\n" not in problem and "/var/www/shop" in problem, problem
        with contextlib.suppress(OSError, Problem):
            machine.settle()
        assert live(machine) == "v1"
    machine.settle()
    assert live(machine) == "v1" and records(machine) == ["v1"]
    assert deployed(machine, "v3") is None
    machine.settle()
    machine.at_rest()
    assert live(machine) == "v3"


@pytest.mark.parametrize("names", [False, True])
def test_a_power_cut_in_the_middle_of_a_commit(names, machine):
    """After a cut at any effect it boots into the old release or the new one, and the log keeps all older records. The
    next deploy adds missing data of the new release. Committed data survives a cut."""
    were_live, done = ["v1"], False
    for fuse in range(100):
        tag = f"v{fuse + 2}"
        with contextlib.suppress(Killed):
            done = deployed(machine, tag, fuse) is None
            assert done
        machine.disk.power_cut(names)
        machine.host.one_offs.clear()
        machine.host.reboot()
        found = live(machine)
        assert found == tag if done else found in (were_live[-1], tag)
        assert records(machine) == were_live or (found, records(machine)) == (tag, [*were_live, tag])
        if found == tag:
            were_live.append(tag)
        if done:
            break
    assert done and fuse > 9 and records(machine) == were_live
    assert releases.read_tag(machine.host.revert)["tag"] == were_live[-2]
