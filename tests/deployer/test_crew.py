"""What the deployer does when a host that is watched says that it is not well."""

import signal
import threading
import time
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from deploy.connection import Connection, Lost, StepProblem
from deploy.crew import Crew, StepFailed
from deploy.plan import LIMITS, Options, Step, Target, plan
from deploy.remote import each
from deploy.together import outcome, start, together

SICK = {"event": "sick", "problem": "of 30 answers to visitors 30 were errors", "more": {"log_of": ["shop-web-b", 1]}}


class Standing:
    """A connection whose host answers when it is let; `asked`: what it was asked, with the time it was given."""

    def __init__(self, answer=None):
        self.asked, self.go, self.answer = [], threading.Event(), answer or (lambda: {})

    def ask(self, do, timeout, **args):
        self.asked.append((do, timeout, args))
        assert self.go.wait(20), "the deployer waits for a host that is not done"
        return self.answer()


@pytest.fixture
def crew(fleet):
    told = []
    crew = Crew(fleet, None, list(fleet.app_hosts), told.append,
                {host.name: Standing() for host in fleet.app_hosts})
    crew.told = told
    yield crew
    for connection in crew.connections.values():
        connection.go.set()


def hear(crew, name, **more):
    crew._hear(SimpleNamespace(name=name), {**SICK, **more})


@pytest.mark.parametrize("wait", [
    lambda call: outcome(start(call, "web1")), lambda call: together(call, ["web1"]),
    lambda call: each([SimpleNamespace(name="web1")], call),
    lambda call: Crew.run(SimpleNamespace(alarm=Future(), _run_step=lambda step, answers: call(step)), ["begin"])])
def test_a_signal_that_does_not_wake_the_main_thread_is_heard(wait):
    """One that another thread takes: the main thread, which waits, is not woken by it."""
    let = threading.Event()

    def call(name):
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        let.wait(10)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        wait(call)
    let.set()
    assert time.monotonic() - began < 5


def test_what_is_under_way_fails_at_once(crew):
    """A step on another host does not keep the deployer from taking all back, nor does one that is yet to come."""
    threading.Timer(0.2, hear, (crew, "web1")).start()
    for _ in range(2):
        with pytest.raises(StepFailed) as caught:
            crew.run([Step("flip", ("web2",))])
        assert str(caught.value) == f"web1: watch: {SICK['problem']}"
    assert {"event": "sick", "host": "web1", "text": f"not healthy: {SICK['problem']}"} in crew.told


def test_two_hosts_at_a_time(crew):
    """The first that is heard of is the cause; nobody stumbles over the second."""
    hear(crew, "web2"), hear(crew, "web1")
    with pytest.raises(StepFailed, match="web2: watch"):
        crew.run([Step("flip", ("web1",))])


def test_some_may_be_sick(crew):
    """As many as there are to spare: their watch counts as done, one more fails all."""
    crew.spare = 1

    def fail():
        raise StepProblem(SICK["problem"], {})
    for name in ("web1", "web2"):
        crew.connections[name].go.set()
    crew.connections["web1"].answer = fail
    hear(crew, "web1")
    assert crew.run([Step("watch", ("web1", "web2"))]) == {("watch", "web1"): {}, ("watch", "web2"): {}}
    hear(crew, "web2")
    with pytest.raises(StepFailed, match="web2: watch"):
        crew.run([Step("watch", ("web1",))])


def test_the_log_is_asked_for_when_all_is_over(crew):
    """Only then, and only of a host that can be asked; a journal that says nothing takes nothing away."""
    error = StepFailed("watch", "web1", StepProblem(SICK["problem"], SICK["more"]))
    assert crew.connections["web1"].asked == []
    crew.connections["web1"].go.set()
    crew.connections["web1"].answer = lambda: {"log": ["Traceback", "boom"]}
    assert crew.evidence(error, {"web1": None}) is error
    assert str(crew.evidence(error, {"web1": {"code": 1}})) == f"{error}\n  | Traceback\n  | boom"
    assert crew.connections["web1"].asked == [("said", 20, {"name": "shop-web-b", "since": 1})]

    def silent():
        raise StepProblem("no answer", {})
    crew.connections["web1"].answer = silent
    assert crew.evidence(error, {"web1": {"code": 1}}) is error


def test_every_step_has_a_limit(fleet, crew):
    """What it is given, and what it may have to wait for besides: minutes, not a day."""
    for group in plan(fleet, fleet.app_hosts, Target("deploy", "v2", judge="web1"), Options(), {"id": "1", "who": "a"}):
        for step in group:
            assert LIMITS[step.name] <= step.limit <= 3600 + max(fleet.rollout[name] for name in ("ready", "migrate"))
    for connection in crew.connections.values():
        connection.go.set()
    crew.run([Step("migrate", ("web1",), {"seconds": 300})])
    assert crew.connections["web1"].asked == [("migrate", LIMITS["migrate"] + 300, {"seconds": 300})]


def test_a_host_that_reads_nothing_is_given_up_in_time():
    """The agent is more than a pipe takes: a network that dies before ssh reads it keeps no deployer waiting."""
    connection = Connection(SimpleNamespace(address="web1"), SimpleNamespace(command=lambda *words, **more: [
        "sleep", "60"]), "shop")
    opened = start(connection.open, 0.3)
    try:
        with pytest.raises(Lost, match="no answer within 0.3 s"):
            opened.result(10)
        assert connection.process.returncode, "it is ended"
    finally:
        connection.process.kill()
