"""A slot's end: nobody is cut off, and the live one is not stopped."""

import time
from unittest import mock

import pytest

from deploy.agent import slots
from deploy.agent.host import Problem
from deployer.simulated import Simulated, world

LISTENER = "0000000000000000: 00000002 00000000 00010000 0001 01 1 /run/shop/b/web.sock\n"
VISITOR = "0000000000000000: 00000003 00000000 00000000 0001 03 2 /run/shop/b/web.sock\n"


@pytest.fixture
def host(tmp_path):
    """A host whose slot b has two units, and whose kernel names the connections that connected(text) says."""
    host = Simulated(tmp_path / "root")
    (tmp_path / "root/proc/net").mkdir(parents=True)
    host.connected = (tmp_path / "root/proc/net/unix").write_text
    host.up = {f"shop-{role}@{slot}.service": ("v1", "sha256:v1") for role in ("web", "worker") for slot in "ab"}
    with world(host):
        yield host


def test_the_live_slot_is_never_stopped(host):
    """That is a Problem, and its units run on."""
    with pytest.raises(Problem, match="slot a is live"):
        slots.begin_stop(host, "a")
    with pytest.raises(Problem, match="slot a is live"):
        slots.stop(host, "a")
    assert len(host.up) == 4


def test_a_slot_is_stopped_when_its_last_visitor_has_gone(host):
    """As long as somebody is connected, accepted or in the backlog, no unit of it is told to stop."""
    host.connected(LISTENER + VISITOR)
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        assert len(host.up) == 4, "it was stopped under a visitor"
        if len(waits) == 50:
            host.connected(LISTENER)
    with mock.patch.object(time, "sleep", sleep):
        slots.begin_stop(host, "b")
    assert len(waits) >= 50 and sorted(host.up) == ["shop-web@a.service", "shop-worker@a.service"]


@pytest.mark.parametrize("age, waits", [(0, True), (60, False), (-60, True)])
def test_what_has_just_been_left_is_not_empty_yet(host, age, waits):
    """nginx may be about to connect to where web.sock led a moment ago; what was left long ago is not waited for."""
    host.connected(LISTENER)
    slept, now = [], time.time()
    with mock.patch.object(time, "sleep", slept.append), mock.patch.object(time, "time", lambda: now + age):
        slots.flip_back(host, "b")
        assert slots.drain(host, "a")
    assert (slots.LOOKUP in slept) is waits


def test_a_visitor_who_stays_is_not_waited_for_for_ever(host):
    """After DRAIN seconds what is left is long, and ends with its release."""
    host.connected(LISTENER + VISITOR)
    now = [0.0]
    passes = mock.patch.object(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    with passes, mock.patch.object(time, "monotonic", lambda: now[0]):
        assert slots.drain(host, "b") is False
    assert slots.DRAIN <= now[0] < slots.DRAIN + 1
