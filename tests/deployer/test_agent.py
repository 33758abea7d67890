"""The agent's steps on a simulated host: the invariants of docs/design.md hold, whatever is killed, at any moment."""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.machine import Machine, release, state
from deployer.simulated import FOREVER, OWN, Killed, world
from slipway.deploy.agent import attempt_state, disk, releases, serve, slots
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.steps import commit
from slipway.deploy.agent.steps.table import STEPS

TAGS = ("v1", "v2", "v3", "bad")
ACTIONS = st.one_of(
    st.tuples(st.just("deploy"), st.sampled_from(TAGS), st.integers(0, 90), st.integers(1, 12)),
    st.tuples(st.just("deploy"), st.sampled_from(TAGS), st.just(FOREVER), st.just(99)),
    st.tuples(st.just("rollback"), st.just(""), st.one_of(st.integers(0, 60), st.just(FOREVER)), st.just(99)),
    st.tuples(st.just("settle"), st.just(""), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("unlock"), st.sampled_from(TAGS), st.integers(0, 30), st.integers(0, 15)),
    st.tuples(st.just("replace"), st.just(""), st.one_of(st.integers(0, 90), st.just(FOREVER)), st.just(99)),
    st.tuples(st.just("reboot"), st.just(""), st.just(0), st.just(0)),
)


def act(machine, action, tag, fuse, until):
    if action == "reboot":
        machine.host.reboot()
        machine.settle()
    elif action == "settle":  # a deploy's agent dies, and then the takeback dies, too
        machine.host.fuse = fuse + 20
        with contextlib.suppress(Problem, Killed):
            machine.begun("deploy", "v2", 99)
        machine.settle(fuse)
        machine.settle()
    elif action == "unlock":
        machine.unlock(tag, until, fuse)
    elif action == "replace":
        machine.replace(fuse)
    elif action == "rollback":
        revert = releases.read_tag(machine.host.revert)
        if revert:
            machine.attempt("rollback", revert["tag"], fuse)
    else:
        current = releases.read_tag(machine.host.tag)
        machine.attempt("restart" if current == release(tag) else "deploy", tag, fuse, until)


@settings(max_examples=80)
@given(st.lists(ACTIONS, min_size=1, max_size=6), st.sampled_from(((), OWN)), st.sampled_from((0, 3600, -3600)))
def test_the_invariants_hold_whatever_happens(actions, own, back):
    """The invariants hold after deploys, rollbacks, reboots, broken locks, replaced hosts, and deaths of agent or
    takeback after any effect, even if the clock steps at each effect."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(f"{folder}/root", own)
        machine.host.back = back
        with world(machine.host):
            for action in [("deploy", "v1", FOREVER, 99), *actions]:
                act(machine, *action)
                machine.at_rest()


@pytest.mark.parametrize(
    "action, aborted, full",
    [("deploy", False, False), ("deploy", False, True), ("deploy", True, True), ("rollback", False, False)],
)
def test_going_back_needs_no_new_file(machine, action, aborted, full):
    """A host, even without room in /run, goes back after any step; if the deployer aborts, even after the promise."""
    tag = "v2"
    if action == "rollback":
        machine.attempt("deploy", tag)
        tag = "v1"
    disk.write(machine.host.env + ".next", "SECRET_KEY=2\n", 0o600)
    before, steps = state(machine.host), machine.steps(action, tag)
    for until in range(1, len(steps) if aborted else len(steps) - 1):
        machine.say = lambda event: None if event.get("state") != "failed" else pytest.fail(str(event))
        machine.attempt(action, tag, until=until, aborted=aborted, full=full)
        assert state(machine.host) == before, f"after {steps[until - 1][0]}"
        machine.at_rest()


def test_a_commit_needs_no_timer_for_the_old_slot(machine, monkeypatch):
    """systemd starts none while /run is full. The hosts are on one release all the same."""

    def full(*_):
        raise Problem("Failed to start transient timer unit: No space left on device")

    monkeypatch.setattr(slots, "retire_later", full)
    machine.begun("deploy", "v2", 99)
    assert releases.read_tag(machine.host.tag)["tag"] == "v2" and disk.read(machine.host.attempt) is None


def test_visitors_are_back_when_the_agent_ends(machine):
    host, live, late = machine.host, slots.live(machine.host), []
    attempt = machine.begun("deploy", "v2", -1)
    assert slots.live(host) != live and releases.read_attempt(host)["promised"]

    def ends(code):
        step = threading.Thread(target=attempt.note, kwargs={"promised": True}, daemon=True)
        step.start()
        step.join(0.2)
        late.append(step.is_alive())
        raise Killed

    with mock.patch("os._exit", side_effect=ends), pytest.raises(Killed):
        serve.abort(attempt, {"cause": "told to"})
    assert late == [True] and slots.live(host) == live and not releases.read_attempt(host)["promised"]
    machine.settle()
    machine.at_rest("v1")
    assert releases.read_log(host)[0][-1]["cause"] == "told to"


@pytest.mark.parametrize(
    "until, sick, forward, result, tag",
    [
        (-2, False, None, "open", "v1"),
        (-1, False, None, "promised", "v2"),
        (-2, False, True, "settling", "v2"),
        (-1, False, False, "settling", "v1"),
        (-1, False, True, "settling", "v2"),
        (-2, False, False, "settling", "v1"),
        (-3, False, True, "settling", "v1"),
        (-2, True, True, "settling", "v1"),
    ],
)
def test_an_attempt_is_asked_of_and_decided_from_outside(machine, until, sick, forward, result, tag):
    """`decide` makes an attempt commit or go back while its agent lives; it commits only if all is prepared and
    visitors have not gone back, as from a sick release; it goes back even without room in /run."""
    host = machine.host
    with subprocess.Popen(["sleep", "60"]) as agent:
        host.agent, reaped = agent.pid, threading.Thread(target=agent.wait)
        attempt = machine.begun("deploy", "v2", until, Attempt(host, program="/agent", pid=agent.pid), id="2")
        if sick:
            slots.flip_back(host, attempt.noted["live"])
        reaped.start()
        host.full = forward is False
        assert attempt_state.decide(host, "0", forward) == {"state": "committed"}, (
            "an earlier deploy, not the one under way"
        )
        assert attempt_state.decide(host, "2", forward) == {"state": result}
        reaped.join(0 if forward is None else 10)
        assert reaped.is_alive() == (forward is None)
        agent.kill()
        host.agent = 0
        assert attempt_state.decide(host, "2", True) == {"state": "stuck"}
        machine.settle()
        machine.at_rest()
        assert attempt_state.decide(host, "2", True) == {"state": "committed" if tag == "v2" else "back"}
    assert releases.read_tag(host.tag) == release(tag)


def test_a_host_that_has_just_committed_is_not_stuck(machine, monkeypatch):
    """The attempt ends between the looks at its file and at its unit."""
    host, look = machine.host, machine.host.states
    machine.begun("deploy", "v2", -1, Attempt(host, program="/agent", pid=7), id="2")

    def states(*units):
        commit.finish(host, releases.read_attempt(host), machine.say)
        return look(*units)

    monkeypatch.setattr(host, "states", states)
    assert attempt_state.decide(host, "2", True) == {"state": "committed"}


def test_a_takeback_waits_for_the_decision(machine):
    """systemd starts the takeback as soon as `decide` has killed the agent; it must not read the old promise."""
    host, machine.host.agent = machine.host, 7
    machine.begun("deploy", "v2", -1, Attempt(host, program="/agent", pid=7), id="2")
    systemd = threading.Thread(target=machine.settle)

    def kill(pid):
        systemd.start()
        systemd.join(0.5)

    with mock.patch.object(attempt_state, "kill", kill):
        attempt_state.decide(host, "2", False)
    systemd.join(30)
    machine.at_rest("v1")


def test_a_killed_agent_is_gone_before_its_attempt_is_changed(monkeypatch):
    """Until then it could still write to the attempt's file."""
    signals = iter([None, None, ProcessLookupError()])
    sent = []

    def kill(pid, signal):
        sent.append(pid)
        if error := next(signals):
            raise error

    monkeypatch.setattr(attempt_state.os, "kill", kill)
    attempt_state.kill(7)
    assert sent == [7, 7, 7]


def test_a_host_keeps_what_it_promised_and_promises_what_it_can_keep(machine):
    """A host promises only what is prepared, and not when it is sick; a promise holds though it gets sick then."""
    attempt = machine.begun("deploy", "v2", -3)
    with pytest.raises(Problem, match="the step prepare has not run"):
        STEPS["promise"](machine.host, attempt, print)
    STEPS["prepare"](machine.host, attempt, print)
    attempt.sick = Problem("5 of 20 answers were errors")
    for step, said in ("promise", "^5 of 20"), ("commit", "did not promise to commit, .* to the old release: 5 of 20"):
        with pytest.raises(Problem, match=said):
            STEPS[step](machine.host, attempt, print)
    attempt.noted["promised"] = True
    STEPS["commit"](machine.host, attempt, print)
    machine.at_rest("v2")


def test_an_agent_ends_with_its_commit_though_nobody_listens(tmp_path, monkeypatch):
    host, watchdog = Machine(tmp_path / "root").host, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    watchdog.bind(str(tmp_path / "notify"))
    watchdog.settimeout(1)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    disk.write(host.attempt, json.dumps({"version": 1, "tag": "v2", "live": "a", "slot": "b", "promised": True}))
    monkeypatch.setattr(serve, "Host", lambda app: host)
    monkeypatch.setattr(serve, "lines", lambda kind: [{"do": "alive"}])
    monkeypatch.setattr("time.sleep", lambda seconds: disk.remove(host.attempt))
    with mock.patch("os._exit", side_effect=Killed), pytest.raises(Killed):
        serve.work("shop", "/agent")
    assert not os.path.exists(host.attempt) and watchdog.recv(99) == b"WATCHDOG=1"


@pytest.mark.parametrize("action, cut, recorded", [("restart", False, 2), ("deploy", False, 2), ("deploy", True, 3)])
def test_a_commit_is_recorded_where_the_power_was_cut(machine, action, cut, recorded):
    """A power cut after the rename of TAG loses no record. A restart gets none: it keeps TAG, so TAG proves nothing."""
    host = machine.host
    machine.attempt("deploy", "v2")
    machine.begun(action, "v2" if action == "restart" else "v3", -2)
    if cut:
        os.rename(host.tag + ".next", host.tag)
    host.reboot()
    commit.note_commit(host)
    assert len(releases.read_log(host)[0]) == recorded


def test_a_record_of_what_was_taken_back(machine):
    machine.attempt("deploy", "v2", until=2)
    machine.begun("deploy", "v3", 2, allow_incompatible=True)
    machine.settle()
    found, _ = releases.read_log(machine.host)
    records = [(one["tag"], one["outcome"], one.get("allow_incompatible")) for one in found]
    assert records == [("v1", "committed", None), ("v2", "taken back", None), ("v3", "taken back", True)]
