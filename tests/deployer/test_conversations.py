"""Conversations of a hostile deployer with the agent: any requests in any order. A healthy release serves all the
while, as the simulated machine checks at each effect."""

import contextlib
import json
import tempfile
import time
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.machine import Machine, release
from deployer.simulated import OWN, Killed, world
from deployer.test_requests import BEGIN, ID, LINES, image  # noqa: F401  the fixture
from deployer.test_validate import JSON
from slipway.deploy.agent import disk, lock, releases, requests, serve
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.requests import SHAPES
from slipway.deploy.agent.step_log import StepLog

GOOD = {
    "begin": BEGIN,
    "pull": {"image": "registry.example/shop", "credentials": ""},
    "upload": {"bucket": "s3://shop/static", "seconds": 1},
    "migrate": {"seconds": 1, "max_lock": 2},
    "start": {"roles": ["web", "worker"]},
    "ready": {"seconds": 0, "smoke": ["/"], "roles": ["web", "worker"]},
    "pause": {"seconds": 0},
    "flip": {"smoke": ["/"], "max_errors": 0.05},
    "watch": {"seconds": 0},
    "replace": {"seconds": 0},
    **{name: {} for name in ("verdicts", "publish", "prepare", "promise", "commit")},
}
CHAIN = ("begin", "pull", "start", "ready", "flip", "watch", "replace", "prepare", "promise", "commit")
STRANGE = {"slot": "../../etc/default/blog", "live": "b", "program": "/etc/shadow"}


@pytest.mark.parametrize("known", range(len(CHAIN)))
def test_what_requests_in_another_order_do_is_the_app_s(machine, known):
    """After so many steps of a deploy, the others come in another order, with arguments that are not theirs. And a
    healthy release serves all the while, as the machine checks at each effect."""
    others = [(do, {**GOOD[do], name: value}) for do in CHAIN[known + 1 :] for name, value in STRANGE.items()]
    asked = [(do, GOOD[do]) for do in (*CHAIN[:known], *CHAIN[:known:-1])] + others
    said, called, call = [], [], machine.host.call
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serve, "say", said.append)
        patch.setattr(
            machine.host, "call", lambda *words, **options: called.append((words, options)) or call(*words, **options)
        )
        attempt, taken = Attempt(machine.host, program="/agent"), StepLog(machine.host)
        for number, (do, args) in enumerate(asked):
            serve.step(machine.host, attempt, taken, {"id": number, "do": do, "args": args}, "deploy")
        machine.settle()
    assert not [answer for answer in said if "the agent failed" in str(answer.get("problem"))], said
    check_called(called)


def check_called(called):
    """Check that each command is one that a deploy runs, with nothing in it that is not the app's."""
    for words, options in called:
        strange = [
            word for word in (*words, *options.get("env", {}).values()) if "blog" in word or "/etc/shadow" in word
        ]
        assert words[0] in PROGRAMS and not strange, (words, options)


FITTING = st.sampled_from(
    [
        0,
        True,
        None,
        ID,
        "deploy",
        "rollback",
        "v1",
        "bad",
        "sha256:v1",
        "digest:v2",
        "before",
        "shop-web-a",
        ["web"],
        ["/"],
    ]
)
NAMES = sorted({name.rstrip("?") for shapes in SHAPES.values() for name in shapes} | {*STRANGE})
WAITS = st.sampled_from([0, -1, "9", None, float("nan"), 1e9])
CHANGES = st.dictionaries(st.sampled_from(NAMES), FITTING | JSON, max_size=2) | st.fixed_dictionaries(
    {"seconds": WAITS}
)
STEP = st.tuples(st.sampled_from([*CHAIN, *GOOD]), st.just({}) | CHANGES)
OTHER = st.tuples(st.sampled_from(sorted(SHAPES)), CHANGES)
ABORTS = st.fixed_dictionaries({"abort": JSON | st.fixed_dictionaries({"cause": JSON})})


def as_message(asked):
    do, changes = asked
    return {"do": do, "args": {**GOOD.get(do, {}), **changes}}


MESSAGES = (STEP | OTHER).map(as_message) | ABORTS | JSON.filter(lambda value: isinstance(value, dict))


@settings(max_examples=100)
@given(st.sampled_from([serve.read, serve.work]), st.integers(0, len(CHAIN)), st.lists(MESSAGES, max_size=8))
def test_any_conversation_leaves_the_app_served(mode, known, messages):
    """After so many steps of a deploy, anything in any order. What runs is the app's, a healthy release serves all the
    while, and once the lock is free, no attempt is left."""
    called = []
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(f"{folder}/root", OWN)
        with world(machine.host):
            machine.attempt("deploy", "v1")
            disk.write(machine.host.etc, LINES)
            call = machine.host.call
            machine.host.call = lambda *words, **options: called.append((words, options)) or call(*words, **options)
            said = converse(machine, mode, [*({"do": do, "args": GOOD[do]} for do in CHAIN[:known]), *messages])
            machine.at_every_instant()
            assert disk.read(machine.host.attempt) is None and not any(machine.host.one_offs.values())
    assert not [answer for answer in said if "the agent failed" in str(answer.get("problem"))], said
    check_called(called)


def converse(machine, mode, messages):
    """Run the agent on these messages, a step at a time, and the takeback of its unit. Return what it answers."""
    lines, said = [json.dumps({"id": 1, **message}).encode() for message in [*messages, {"do": "end"}]], []
    clock = [time.monotonic()]  # no step really waits
    with (
        mock.patch.multiple(serve, Host=lambda app: machine.host, say=said.append),
        mock.patch.object(lock, "run_as_unit", lambda *words: []),
        mock.patch.object(serve, "lines", lambda kind: map(requests.parse_message, lines)),
        mock.patch("time.monotonic", lambda: clock[0]),
        mock.patch("time.sleep", lambda seconds: clock.append(clock.pop() + seconds)),
        mock.patch("threading.Thread", Inline),
        mock.patch("os._exit", side_effect=Killed),
    ):
        with contextlib.suppress(Killed, SystemExit):
            mode("shop", "/agent", "deploy")
        machine.settle()
    return said


class Inline:
    """A thread whose function runs when it starts."""

    def __init__(self, target, args=(), kwargs=None, daemon=False):
        self.start = lambda: target(*args, **(kwargs or {}))

    def join(self, timeout=None):
        """It has ended."""


def test_a_whole_deploy_is_let_through(machine, monkeypatch):
    """Else the test above would try little."""
    said, attempt, taken = [], Attempt(machine.host, program="/agent"), StepLog(machine.host)
    monkeypatch.setattr(serve, "say", said.append)
    for number, do in enumerate(CHAIN):
        serve.step(machine.host, attempt, taken, {"id": number, "do": do, "args": GOOD[do]}, "deploy")
    assert [answer["id"] for answer in said if "ok" in answer] == [*range(len(CHAIN))]
    assert releases.read_tag(machine.host.tag) == release("v2")


def test_no_release_is_committed_beside_the_old_one_s_beat(machine, monkeypatch):
    """A hostile deployer may leave out a step; a host of web alone has nothing to replace."""
    said, attempt, taken = [], Attempt(machine.host, program="/agent"), StepLog(machine.host)
    monkeypatch.setattr(serve, "say", said.append)
    for number, do in enumerate(CHAIN):
        if do != "replace":
            serve.step(machine.host, attempt, taken, {"id": number, "do": do, "args": GOOD[do]}, "deploy")
    [refused, *_] = [answer["problem"] for answer in said if "problem" in answer]
    assert refused == "prepare: the step replace has not succeeded"
    assert releases.read_tag(machine.host.tag) == release("v1")
    monkeypatch.setattr(machine.host, "alone", list)
    assert requests.missing_step(machine.host, "prepare", {"flip"}) == ""


PROGRAMS = ("systemctl", "systemd-run", "docker-slot", "docker-runner", "sync", "journalctl", "docker-backup", "nginx")
