"""The commit of a deploy on model hosts: whatever message or answer is lost, the report is true, and all hosts that can
be reached end up on one release."""

import asyncio
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.clock import run
from slipway.deploy.errors import DeployError, Divided, HostProblem, Lost
from slipway.deploy.rollout import commit
from slipway.deploy.rollout.commit import Commit, outcome
from slipway.deploy.rollout.plan import Step
from slipway.deploy.rollout.runner import Run
from slipway.deploy.ssh import connection
from slipway.deploy.ssh.connections import Connections

DEAD_AFTER = 6
PACKETS = (1, 2, 4)  # pauses before a connection's next packets, if nobody answers; after 8 s more it has failed
NAMES = ("web1", "web2", "work")


def now():
    return asyncio.get_running_loop().time()


@dataclass(eq=False)
class Model:
    """A host. Its connection ends at the message `cut`, for `outage` seconds. `arrives`: the host still gets that
    message; `silent`: the host does not notice the end; `power`: the cause is a power cut; `killed`: the agent was
    killed, and the deployer gets the lock's last answer; `refuses`: the host does not promise."""

    name: str
    cut: str = ""
    outage: float = 0
    arrives: bool = False
    silent: bool = False
    power: bool = False
    killed: bool = False
    refuses: bool = False
    promised: bool = False
    state: str = ""
    lost_at: float = None
    answers: list = field(default_factory=list)

    async def say(self, message):
        """Receive a message over the connection of the deploy."""
        if self.lost_at is not None:
            raise Lost("gone")
        if message == self.cut:
            self.lost_at = now()
        if message != self.cut or self.arrives:
            self.hear(message)
        if message == self.cut:
            if self.power and not self.state:
                self.state = "back"
            self.decide_alone()
            raise Lost("cut")

    def hear(self, message):
        if message == "promise":
            if self.refuses:
                raise HostProblem("refuses")
            self.promised = True
        elif message == "commit" and not self.promised:
            raise HostProblem("it has not promised to commit")
        elif not self.state:
            self.state = {"commit": "committed", "abort": "back"}.get(message, self.state)

    def decide_alone(self):
        """Commit or go back as agent and systemd do without a deployer: after a promise, once dead_after has passed."""
        waited = now() - self.lost_at if self.lost_at is not None else 0
        if self.state or self.lost_at is None:
            return
        if waited >= DEAD_AFTER or self.killed or (not self.promised and not self.silent):
            self.state = "committed" if self.promised else "back"

    def is_reached(self):
        return self.lost_at is None or now() >= self.lost_at + self.outage

    async def asked(self, on):
        """Answer `decide` over another connection."""
        for pause in PACKETS:
            if self.is_reached():
                break
            await asyncio.sleep(pause)
        if not self.is_reached():
            await asyncio.sleep(8)
            raise Lost("cannot be reached")
        self.decide_alone()
        if self.state:
            return self.state
        if on is None:
            return "promised" if self.promised else "open"
        self.state = "committed" if on else "back"
        return "settling"

    async def rest(self):
        await asyncio.sleep(1000)
        self.decide_alone()
        return self.state


class Talk:
    """A stand-in for Connection."""

    def __init__(self, host, ssh=None, app=""):
        self.model, self.aborting = host, None

    async def open(self, limit):
        await self.model.asked(None)

    async def ask(self, do, timeout, forward=None, **args):
        return {"state": await self.model.asked(forward)} if do == "decide" else await self.model.say(do)

    def abort(self, **why):
        self.aborting = asyncio.create_task(self.model.say("abort"))

    async def at_end(self, timeout):
        await asyncio.wait({self.aborting})
        self.aborting.exception()
        return {"attempt": False} if self.model.lost_at is None or self.model.killed else None

    async def end(self):
        pass

    async def close(self):
        pass


def finish(models, sick=""):
    """Return the error or None, host → reported state, and host → real state. `sick`: a host that becomes unhealthy."""

    async def end():
        team = Connections(
            SimpleNamespace(app="shop", ssh=None),
            list(models.values()),
            lambda event: None,
            connections={name: Talk(model) for name, model in models.items()},
            locked=list(models),
        )
        made = Run(team)
        if sick:
            made.on_event({"event": "sick", "host": sick, "problem": "5 of 20 answers were errors", "details": {}})
        states, failed = await Commit(made, "1", DEAD_AFTER).decide(
            Step("promise", tuple(models)), Step("commit", tuple(models))
        )
        return outcome(states, failed, "v2"), states, {name: await model.rest() for name, model in models.items()}

    with mock.patch.object(connection, "Connection", Talk):
        return run(end())


FAULT = st.fixed_dictionaries(
    {
        "cut": st.sampled_from(("promise", "commit", "abort")),
        "arrives": st.booleans(),
        "silent": st.booleans(),
        "outage": st.one_of(st.floats(0, 5), st.just(DEAD_AFTER + 2.0), st.just(1e9)),
        "power": st.booleans(),
        "killed": st.booleans(),
    }
)
HOST = st.one_of(st.just({}), st.just({}), FAULT, st.just({"refuses": True}))


def models(faults):
    return {name: Model(name, **fault) for name, fault in zip(NAMES, faults, strict=False)}


@settings(max_examples=500)
@given(st.tuples(HOST, HOST, HOST))
def test_what_is_told_is_true(faults):
    """Exit code 0 means committed everywhere, 1 back everywhere, 3 all else; each host's state is as reported."""
    error, states, ends = finish(models(faults))
    assert all(states[name] in (None, ends[name]) for name in NAMES), (states, ends)
    if error is None:
        assert set(ends.values()) == {"committed"}
    elif error.exit_code == 1:
        assert set(ends.values()) == {"back"}
    else:
        assert isinstance(error, Divided) and error.exit_code == 3
        assert None in states.values() or len(set(ends.values())) == 2


@settings(max_examples=500)
@given(st.tuples(HOST, HOST, HOST))
def test_hosts_that_are_reached_in_time_end_on_one_release(faults):
    faults = [
        {**fault, "power": False, "killed": False, "outage": min(fault["outage"], 3.0)} if "outage" in fault else fault
        for fault in faults
    ]
    _error, states, ends = finish(models(faults))
    assert len(set(ends.values())) == 1 and states == ends


@settings(max_examples=500)
@given(FAULT, st.integers(0, 2))
def test_one_host_that_is_lost_does_not_divide(fault, number):
    fault = {
        **fault,
        "power": fault["power"] and fault["cut"] != "commit",
        "outage": min(fault["outage"], DEAD_AFTER + 2.0),
    }
    _error, states, ends = finish(models([fault if number == index else {} for index in range(3)]))
    assert len(set(ends.values())) == 1 and states == ends


@pytest.mark.parametrize("seconds", [3, 6, 30])
def test_a_host_is_asked_until_it_has_decided_by_itself(monkeypatch, seconds):
    """However long a connection takes that nobody answers."""
    monkeypatch.setattr(sys.modules[__name__], "DEAD_AFTER", seconds)
    lost = {"cut": "promise", "silent": True, "outage": seconds + 2.0}
    _error, states, ends = finish(models([{}, lost, {}]))
    assert set(ends.values()) == {"back"} and states == ends


@pytest.mark.parametrize(
    "states, sick, on",
    [
        (["promised", None], [], True),
        (["promised", "open"], [], False),
        (["promised", "back"], [], False),
        (["promised", None], ["web1"], False),
        (["committed", "open", "back"], ["web1"], True),
    ],
)
def test_when_hosts_go_forward(states, sick, on):
    assert commit.goes_forward(dict(zip(NAMES, states, strict=False)), sick) is on


def test_a_host_that_does_not_promise_takes_all_back():
    error, states, ends = finish(models([{}, {"refuses": True}, {}]))
    assert set(ends.values()) == {"back"} and states == ends and "on web2: refuses" in str(error)


def test_each_host_is_named_with_what_is_known():
    error = outcome({"a": "committed", "b": "back", "c": None, "d": "stuck"}, {"c": Lost("?")}, "v2")
    assert str(error).splitlines() == [
        "on c: ?",
        "a: on v2",
        "b: on the release before",
        "d: changed in part; the next deploy or rollback repairs it",
        "c: can't be reached; on v2 or on the release before",
        "hosts differ until the next deploy or rollback: see slipway status, then deploy v2 again, or roll back",
    ]
    for known in (["committed", None], ["back", None], [None], ["committed", "stuck"]):
        last = str(outcome(dict(zip("ab", known, strict=False)), {}, "v2")).splitlines()[-1]
        assert last == str(error).splitlines()[-1].replace("hosts", "hosts may")


@pytest.mark.parametrize(
    "fault, state",
    [
        ({}, "back"),
        ({"cut": "promise", "arrives": True, "outage": 3.0}, "back"),
        ({"cut": "promise", "arrives": True, "outage": DEAD_AFTER + 2.0}, "committed"),
    ],
)
def test_a_host_that_gets_sick_after_its_promise(fault, state):
    error, states, ends = finish(models([{}, {}, fault]), "web1")
    assert set(ends.values()) == {state} and states == ends
    assert (state == "committed") == (error is None)
    assert not error or (
        type(error) is DeployError and "on web1: not healthy: 5 of 20 answers were errors" in str(error)
    )


@pytest.mark.parametrize("state, other", [("back", "promised"), ("committed", "open")])
def test_what_a_lost_host_does_meanwhile_decides(state, other):
    found = [{"web1": other}, {"web1": state}]

    async def ask_states(self, names, *words):
        return found.pop(0) if found else dict.fromkeys(names, state)

    with mock.patch.object(Commit, "ask_states", ask_states):
        _, states, ends = finish(models([{"cut": "promise"}, {}, {}]))
    assert set(states.values()) == {state} and (ends["web2"], ends["work"]) == (state, state)
