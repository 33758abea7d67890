"""The agent's steps on a simulated host: the invariants of docs/design.md hold, whatever is killed, at any moment."""

import contextlib
import json
import os
import random
import subprocess
import tempfile
import threading
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.deploy.agent import disk, fate, releases, serve, slots, takeback
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.steps import commit
from slipway.deploy.agent.steps.table import STEPS
from deployer.machine import Machine, release, state
from deployer.simulated import FOREVER, OWN, Killed, world

TAGS = ("v1", "v2", "v3", "bad")
ACTIONS = st.one_of(
    st.tuples(st.just("deploy"), st.sampled_from(TAGS), st.integers(0, 90), st.integers(1, 12)),
    st.tuples(st.just("deploy"), st.sampled_from(TAGS), st.just(FOREVER), st.just(99)),
    st.tuples(st.just("rollback"), st.just(""), st.one_of(st.integers(0, 60), st.just(FOREVER)), st.just(99)),
    st.tuples(st.just("settle"), st.just(""), st.integers(0, 30), st.just(0)),
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
    elif action == "rollback":
        revert = releases.read_tag(machine.host.revert)
        if revert:
            machine.attempt("rollback", revert["tag"], fuse)
    else:
        current = releases.read_tag(machine.host.tag)
        machine.attempt("restart" if current == release(tag) else "deploy", tag, fuse, until)


@settings(max_examples=80)
@given(st.lists(ACTIONS, min_size=1, max_size=6), st.sampled_from(((), OWN)))
def test_the_invariants_hold_whatever_happens(actions, own):
    """The invariants hold after deploys, rollbacks, reboots, and deaths of agent or takeback after any effect."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(f"{folder}/root", own)
        with world(machine.host):
            for action in [("deploy", "v1", FOREVER, 99), *actions]:
                act(machine, *action)
                machine.at_rest()


@settings(max_examples=15)
@given(st.lists(st.sampled_from(("v1", "v2")), max_size=3), st.sampled_from(("v2", "v3", "bad")), st.booleans(),
       st.sampled_from(((), OWN)))
def test_what_is_undone_is_as_it_was(earlier, tag, staged, own):
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(f"{folder}/root", own)
        with world(machine.host):
            for release_before in ("v1", *earlier):
                machine.attempt("deploy", release_before)
            if staged:
                disk.write(machine.host.env + ".next", "SECRET_KEY=2\n", 0o600)
            before = state(machine.host)
            for until in range(len(machine.steps("deploy", tag)) - 1):
                machine.attempt("deploy", tag, until=until)
                assert state(machine.host) == before, f"after {until} steps"
                machine.at_rest()


@pytest.mark.parametrize("aborted", [False, True])
def test_going_back_needs_no_new_file(machine, aborted):
    """A host without room in /run goes back after any step; if the deployer aborts, even after the promise."""
    before, steps = state(machine.host), machine.steps("deploy", "v2")
    for until in range(1, len(steps) if aborted else len(steps) - 1):
        machine.say = lambda event: None if event.get("state") != "failed" else pytest.fail(str(event))
        machine.attempt("deploy", "v2", until=until, aborted=aborted, full=True)
        assert state(machine.host) == before, f"after {steps[until - 1][0]}"
        machine.at_rest()


ODD = (None, True, -1, 1e308, "", "\0x", "a", [], ["x"], [["x"]], [["x", 1]], {}, {"x": None})


def spoilt(text, random):
    """Return the text of an attempt damaged at random: a key is missing, a value is wrong, or all is unreadable."""
    attempt = json.loads(text)
    key, way = random.choice(sorted(attempt)), random.randrange(5)
    if way == 0:
        return random.choice(["", "{}", text[:random.randrange(len(text))], "[" * 100_000, "\0" + text])
    del attempt[key]
    return json.dumps(attempt if way == 1 else {**attempt, key: random.choice(ODD)})


def test_an_attempt_that_nobody_can_read(machine):
    seeded, host, malformed = random.Random(25), machine.host, 0
    for number in range(60):
        tag, said = next(tag for tag in ("v2", "v3") if release(tag) != releases.read_tag(host.tag)), []
        machine.begun("deploy", tag, seeded.randrange(1, 15))
        text = spoilt(disk.read(host.attempt), seeded)
        disk.write(host.attempt, text)
        takeback.settle(host, said.append)
        told = [event["problem"] for event in said if event.get("state") == "failed"]
        assert all("attempt is malformed (" in line and "\n" not in line for line in told), told
        assert disk.read(host.attempt) is None, text
        assert slots.release_in(host, slots.live(host)) == releases.read_tag(host.tag), text
        if told:
            malformed += 1
            machine.at_rest()
        machine.host.reboot()
    assert malformed > 15


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
    assert releases.read_tag(host.tag) == release("v1")
    assert releases.read_log(host)[0][-1]["cause"] == "told to"


@pytest.mark.parametrize("until, forward, found, tag", [
    (-2, None, "open", "v1"), (-1, None, "promised", "v2"), (-2, True, "settling", "v2"), (-1, False, "settling", "v1"),
    (-1, True, "settling", "v2"), (-2, False, "settling", "v1"), (3, True, "settling", "v1")])
def test_an_attempt_is_asked_of_and_decided_from_outside(machine, until, forward, found, tag):
    """`decide` makes an attempt commit or go back while its agent lives; it commits only if all is prepared."""
    host = machine.host
    with subprocess.Popen(["sleep", "60"]) as agent:
        host.agent, reaped = agent.pid, threading.Thread(target=agent.wait)
        machine.begun("deploy", "v2", until, Attempt(host, program="/agent", pid=agent.pid), id="2")
        reaped.start()
        assert fate.decide(host, "2", forward) == {"fate": found}
        reaped.join(0 if forward is None else 10)
        assert reaped.is_alive() == (forward is None)
        agent.kill()
        host.agent = 0
        assert fate.decide(host, "2", True) == {"fate": "stuck"}
        machine.settle()
        machine.at_rest()
        assert fate.decide(host, "2", True) == {"fate": "committed" if tag == "v2" else "back"}
    assert releases.read_tag(host.tag) == release(tag)


def test_a_host_whose_visitors_went_back_is_not_made_to_go_forward(machine):
    host, machine.host.agent = machine.host, 7
    with mock.patch.object(fate, "kill"):
        attempt = machine.begun("deploy", "v2", -2, Attempt(host, program="/agent", pid=7), id="2")
        slots.flip_back(host, attempt.noted["live"])
        assert fate.decide(host, "2", True) == {"fate": "settling"}
    host.agent = 0
    machine.settle()
    machine.at_rest()
    assert fate.decide(host, "2", True) == {"fate": "back"} and releases.read_tag(host.tag) == release("v1")


def test_an_agent_ends_with_its_commit_though_nobody_listens(tmp_path, monkeypatch):
    host = Machine(tmp_path / "root").host
    disk.write(host.attempt, json.dumps({"version": 1, "tag": "v2", "live": "a", "slot": "b", "promised": True}))
    monkeypatch.setattr(serve, "Host", lambda app: host)
    monkeypatch.setattr(serve, "lines", lambda: [])
    monkeypatch.setattr("signal.pause", lambda: pytest.fail("it waits for the watchdog"))
    monkeypatch.setattr("time.sleep", lambda seconds: disk.remove(host.attempt))
    with mock.patch("os._exit", side_effect=Killed), pytest.raises(Killed):
        serve.work("shop", "/agent")
    assert not os.path.exists(host.attempt)


@pytest.mark.parametrize("values, promised", [({}, False), ({"renames": []}, False), ({"renames": [["a", "b"]]}, True)])
def test_nothing_is_promised_that_is_not_prepared(tmp_path, values, promised):
    host = Machine(tmp_path / "root").host
    attempt = Attempt(host, tag="v2", live="a", slot="b", **values)
    with contextlib.nullcontext() if promised else pytest.raises(Problem, match="the step prepare has not run"):
        commit.promise(host, attempt, print)
    assert bool((releases.read_attempt(host) or {}).get("promised")) is promised


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
    attempt = machine.begun("deploy", "v3", 2, allow_incompatible=True)
    STEPS["start"](machine.host, attempt, machine.say, roles=[])
    machine.settle()
    found, _ = releases.read_log(machine.host)
    records = [(one["tag"], one["outcome"], one.get("allow_incompatible")) for one in found]
    assert records == [("v1", "committed", None), ("v3", "taken back", True)]
