"""How long who waits, and how many."""

import threading
import time

import pytest
from proc import wait_until

from mounted.in_time import MOST, PLACES, Away, Hangs, Late, Mount


@pytest.fixture
def gate():
    """What calls hang at."""
    made = threading.Event()
    yield made
    made.set()


def test_after_one_that_waited_in_vain_others_fail_at_once(gate):
    mount = Mount()
    for _ in range(2):
        with pytest.raises(Late, match="within 0.05 s"):
            mount.call(gate.wait, .05)
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(Hangs):
            mount.call(gate.wait, 5)
    assert time.monotonic() - began < 1


def test_calls_that_hang_do_not_add_up(gate):
    """Not even in hours: no more threads than MOST, which end when what they hang at does."""
    mount = Mount()
    for _ in range(3 * MOST):
        with pytest.raises(Late):
            mount.in_time(gate.wait, .01)
    assert len(mount.calls) == MOST
    gate.set()
    wait_until(lambda: not mount.calls, 5)
    assert mount.in_time(lambda: "back", 5) == "back"


def test_a_call_that_gets_no_thread_is_forgotten(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")
    mount = Mount()
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError):
        mount.in_time(lambda: None)
    assert not mount.calls


def test_who_finds_no_place_waits_only_while_calls_are_quick(gate):
    mount = Mount()
    assert all(mount.take_place() for _ in range(PLACES))
    threading.Timer(.1, mount.places.release).start()
    assert mount.take_place()
    with pytest.raises(Late):
        mount.in_time(gate.wait, .3)
    began = time.monotonic()
    assert not mount.take_place() and time.monotonic() - began < .1


def test_one_line_when_it_goes_and_one_when_it_is_back(caplog):
    def away():
        raise Away("Transport endpoint is not connected")
    mount = Mount()
    for function in (away, away, lambda: 1, lambda: 1):
        try:
            mount.call(function)
        except Away:
            pass
    assert [record.message for record in caplog.records] == [
        "the mounted files are away: Transport endpoint is not connected", "the mounted files are back"]


def test_what_a_call_raises_comes_out():
    with pytest.raises(KeyError):
        Mount().call(lambda: {}["missing"])
