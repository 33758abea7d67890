"""The stop of a slot: it cuts off no visitor, and the live slot is never stopped."""

import contextlib
import time
from unittest import mock

import pytest

from deployer.machine import GIVEN
from deployer.simulated import Simulated, world
from proc import executable
from slipway.deploy.agent import images, retirement, slots
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import ENVIRONMENT, TRIES, Host, Problem
from slipway.deploy.agent.steps.begin import begin
from slipway.deploy.agent.steps.readiness import empty_slot

LISTENER = """Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 1 /run/shop/b/web.sock
0000000000000000: 00000003 00000000 00000000 0001 03 3 /run/other/b/web.sock
0000000000000000: 00000003 00000000 00000000 0001 03 4
"""
VISITOR = "0000000000000000: 00000003 00000000 00000000 0001 03 2 /run/shop/b/web.sock\n"


@pytest.fixture
def host(tmp_path):
    """A host with two units in each slot; connected(text) sets its kernel's list of unix sockets."""
    host = Simulated(tmp_path / "root")
    (tmp_path / "root/proc/net").mkdir(parents=True)
    host.connected = (tmp_path / "root/proc/net/unix").write_text
    host.up = {f"shop-{role}@{slot}.service": ("v1", "sha256:v1") for role in ("web", "worker") for slot in "ab"}
    with world(host):
        yield host


def test_the_live_slot_is_never_stopped(host):
    for stop in (slots.begin_stop, slots.stop):
        with pytest.raises(Problem, match="slot a is live"):
            stop(host, "a", 30)
    assert len(host.up) == 4


@pytest.mark.parametrize(
    "seen",
    [
        [LISTENER + VISITOR] * 50 + [LISTENER] * 2,
        # a new visitor is on no list for an instant, so a slot counts as empty only if it is empty twice in a row
        [LISTENER, LISTENER + VISITOR, LISTENER, LISTENER + VISITOR, LISTENER, LISTENER],
    ],
)
def test_a_slot_is_stopped_when_its_last_visitor_has_gone(host, seen):
    left, slept = iter(seen), []
    host.connected(next(left))

    def sleep(seconds):
        assert len(host.up) == 4, "it was stopped under a visitor"
        slept.append(seconds)
        if seconds != slots.LOOKUP:
            host.connected(next(left))

    with mock.patch.object(time, "sleep", sleep):
        slots.begin_stop(host, "b", 30)
    assert slept[0] == slots.LOOKUP, "nginx may still connect to the slot that web.sock has just left"
    assert not list(left) and sorted(host.up) == ["shop-web@a.service", "shop-worker@a.service"]


@contextlib.contextmanager
def clock():
    """Yield a list with the time, which passes only in time.sleep."""
    now = [0.0]
    with (
        mock.patch.object(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds)),
        mock.patch.object(time, "monotonic", lambda: now[0]),
    ):
        yield now


def test_the_toml_says_how_long_who_stays_is_waited_for(host):
    host.connected(LISTENER + VISITOR)
    with clock() as now:
        assert slots.drain(host, "b", 30) is False
    assert 30 <= now[0] < 31
    up, attempt = dict(host.up), {**GIVEN, "drain": 7, "slot": "b"}
    slots.pin(host, "b", {"tag": "v1", "image_id": "sha256:v1"}, None)
    with mock.patch.object(host, "call", return_value=mock.Mock(returncode=0)) as call:
        slots.retire_later(host, "b", attempt)
    words = call.call_args.args
    for ends in (
        lambda: retirement.retire(host, *words[words.index(host.app) + 1 :]),
        lambda: empty_slot(host, attempt),
        lambda: begin(host, Attempt(host), print, action="deploy", tag="v2", **attempt),
    ):
        host.up = dict(up)
        slots.pin(host, "b", {"tag": "v1", "image_id": "sha256:v1"}, None)
        with clock() as now, mock.patch.object(images, "prune"):
            ends()
        assert 7 <= now[0] < 8 and not slots.running(host, *slots.units(host, "b"))


@pytest.mark.parametrize(
    "message, heard",
    [
        ("Warning! D-Bus connection terminated.\nFailed to wait for response: Connection reset by peer", True),
        ("Failed to get properties: Transport endpoint is not connected", True),
        ("Failed to start x.service: Message recipient disconnected from message bus without replying", True),
        ("Failed to stop x.service: Unit x.service not loaded.", False),
    ],
)
def test_systemd_that_is_replaced_is_asked_again(tmp_path, monkeypatch, message, heard):
    new, asked = tmp_path / "new", tmp_path / "asked"
    executable(
        tmp_path / "systemctl", f"#!/bin/sh\necho >>{asked}\n[ ! -e {new} ] || exit 0\necho '{message}' >&2; exit 1\n"
    )
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}:{ENVIRONMENT['PATH']}")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(Problem, match=r"systemctl stop x.service: "):
        Host("shop").systemctl("stop", "x.service")
    assert Host("shop").systemctl("stop", "x.service", check=False).returncode == 1
    assert len(asked.read_text().splitlines()) == 2 * (TRIES if heard else 1)
    monkeypatch.setattr(time, "sleep", lambda seconds: new.touch())
    assert Host("shop").systemctl("stop", "x.service", check=False).returncode == (0 if heard else 1)
