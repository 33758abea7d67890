"""The steps of a rollout on several hosts, and its alarm if a host is unhealthy."""

import asyncio
import json

import pytest

from deployer.clock import run
from slipway.deploy.errors import DeployError, HostProblem, Lost
from slipway.deploy.rollout import hooks
from slipway.deploy.rollout.plan import STEP_KINDS, Options, Step, Target, plan
from slipway.deploy.rollout.report import report
from slipway.deploy.rollout.runner import Run
from slipway.deploy.ssh.connections import Connections

SICK = {
    "event": "sick",
    "problem": "of 30 answers to visitors 9 were errors",
    "details": {"log_of": ["shop-web-b", 1, 2]},
}


class Standing:
    """A connection whose host answers after `takes` seconds; `asked`: its requests (name, timeout, arguments)."""

    def __init__(self):
        self.asked, self.takes, self.answer, self.running = [], 0, {}, 0

    async def ask(self, do, timeout=60, **args):
        self.asked.append((do, timeout, args))
        self.running += 1
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.running -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def rollout(fleet):
    """A rollout on such hosts; `told` lists the events of its display."""
    told = []
    made = Run(
        Connections(
            fleet, list(fleet.app_hosts), told.append, connections={host.name: Standing() for host in fleet.app_hosts}
        )
    )
    made.events = told
    return made


def hear(rollout, name, **extra):
    rollout.hosts._on_event(name, {**SICK, **extra})


async def failure(rollout, *steps):
    with pytest.raises(HostProblem) as caught:
        await rollout.steps(steps)
    return caught.value


def test_what_is_under_way_fails_at_once(rollout):
    rollout.hosts.connections["web2"].takes = 3600

    async def steps():
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, hear, rollout, "web1")
        for _ in range(2):
            assert report(await failure(rollout, Step("flip", ("web2",)))) == f"web1: watch: {SICK['problem']}"
        assert loop.time() < 1 and not rollout.hosts.connections["web2"].running
        assert len(rollout.hosts.connections["web2"].asked) == 1, "no step is begun after an alarm"

    run(steps())
    assert {"event": "sick", "host": "web1", "text": f"not healthy: {SICK['problem']}"} in rollout.events


def test_what_ends_as_it_boots_is_told_of_its_start(rollout):
    hear(rollout, "web1", step="start")
    assert report(run(failure(rollout, Step("migrate", ("web2",))))).startswith("web1: start: of 30")
    rollout.cause = None
    hear(rollout, "web1", step="\033[2J"), hear(rollout, "web2")  # the first alarm is the cause
    assert report(run(failure(rollout, Step("migrate", ("web2",))))).startswith("web1: watch: of 30")


def test_a_step_that_fails_after_an_exit_is_not_the_cause(rollout):
    """Verdicts fail if web has exited: the report names its start."""

    async def answer():
        hear(rollout, "web1", step="start")
        raise HostProblem("no")

    rollout.hosts.connections["web1"].ask = lambda *words, **args: answer()
    assert report(run(failure(rollout, Step("verdicts", ("web1",))))).startswith("web1: start: of 30")


def test_hooks_are_fed_how_it_ended(tmp_path, capfd):
    """A hook reads the outcome, and the cause of a failure. A hook that fails changes nothing."""

    async def ends(error=None):
        if error:
            raise error

    told = {name: f"cat >'{tmp_path}/{name}'; exit 7" for name in ("committed", "failed")}
    asyncio.run(hooks.run_around(told, {"tag": "v1"}, 0, ends()))
    with pytest.raises(DeployError, match="why"):
        asyncio.run(hooks.run_around(told, {"tag": "v2"}, 0, ends(DeployError("why"))))
    found = [json.loads((tmp_path / name).read_text()) for name in told]
    assert [(one["tag"], one["outcome"], one.get("cause")) for one in found] == [
        ("v1", "committed", None),
        ("v2", "failed", "why"),
    ]
    assert capfd.readouterr().err.count("hook failed; the deploy is unaffected") == 2


def test_a_step_that_fails_ends_its_group(rollout):
    rollout.hosts.connections["web1"].answer, rollout.hosts.connections["web2"].takes = HostProblem("no"), 3600
    problem = run(failure(rollout, Step("publish", ("web1", "web2")), Step("migrate", ("work",))))
    assert (problem.step, problem.host, str(problem)) == ("publish", "web1", "no")
    ended = {(event["host"], event["state"]) for event in rollout.events if event["event"] == "step"}
    assert {("web1", "failed"), ("web2", "stopped")} <= ended and ("web2", "failed") not in ended


def test_a_commit_is_not_ended_by_another_hosts_failure(rollout):
    rollout.hosts.connections["web1"].answer, rollout.hosts.connections["web2"].takes = Lost("gone"), 100
    failed = run(rollout.try_step(Step("commit", ("web1", "web2", "work"))))
    assert list(failed) == ["web1"] and isinstance(failed["web1"], Lost)
    assert {
        (event["host"], event["state"])
        for event in rollout.events
        if event["event"] == "step" and event["state"] != "start"
    } == {("web1", "failed"), ("web2", "done"), ("work", "done")}


def test_a_report_quotes_what_people_read():
    said = {"level": "ERROR", "message": "no", "exception": "Traceback\n  x", "time": "2026-11-23T12:51:38+00:00"}
    problem = HostProblem("web exited", details={"log": [json.dumps(said), '{"level": 1}', "[]", "plain", "null"]})
    assert report(problem).splitlines()[1:] == [
        "  | ERROR no",
        "  | Traceback",
        "  |   x",
        '  | 1 {"level": 1}',
        "  | []",
        "  | plain",
        "  | null",
    ]


@pytest.mark.parametrize(
    "body, reported",
    [
        (" boom\n", "boom"),
        ("<!-- Licence -->", "a page"),
        ("<!-- Licence <br> that is cut", "a page"),
        ("<!-- Licence --><title>Server&nbsp;Error</title><h1>x</h1>", "Server Error"),
        ("<style>p {}</style><p>It is <b>broken</b></p>", "It is broken"),
        ("{}", "{}"),
    ],
)
def test_a_page_is_told_by_its_title_or_first_words(body, reported):
    assert report(HostProblem("/ answers 500", details={"body": body})).splitlines()[1:] == [
        f"  it answered: {reported}"
    ]


def test_a_long_report_is_cut_and_ends_with_its_cause():
    """Equal entries, such as the tracebacks of three workers, are shown once, the last of them."""
    traceback = ["Traceback (most recent call last):", *(f"  File {number}" for number in range(30)), "KeyError: 'x'"]
    found = report(HostProblem("web exited", details={"log": ["start", *traceback * 3, "again", "end"]})).splitlines()
    assert found[0] == found[-1] and found[1] == "  | start" and found[2:4] == ["  | (3 times)", f"  | {traceback[0]}"]
    assert found[-4:-1] == ["  | KeyError: 'x'", "  | again", "  | end"] and len(found) < 50
    found = report(HostProblem("web exited", details={"log": [*map(str, range(100))]})).splitlines()
    assert found[1] == "  | 55" and len(found) == 47


def test_the_log_is_asked_for_when_all_is_over(rollout):
    def problem():
        found = HostProblem(SICK["problem"], details=SICK["details"])
        found.step, found.host = "watch", "web1"
        return found

    web1 = rollout.hosts.connections["web1"]
    web1.answer = {"log": ["Traceback", "boom"]}
    assert report(run(rollout.evidence(problem(), {"web1": None}))) == report(problem()) and web1.asked == []
    found = report(run(rollout.evidence(problem(), {"web1": {"tag": "v1"}})))
    assert found == report(problem()) + "\n  | Traceback\n  | boom"
    assert web1.asked == [("last_lines", 20, {"name": "shop-web-b", "since": 1, "until": 2})]
    for web1.answer, said in (
        ({"log": []}, "shop-web-b logged nothing"),
        (HostProblem("no answer"), "the log of shop-web-b cannot be read: no answer"),
    ):
        found = report(run(rollout.evidence(problem(), {"web1": {"tag": "v1"}})))
        assert found == report(problem()) + f"\n  | ({said})"


def test_every_step_has_a_limit(fleet, rollout):
    for group in plan(fleet, fleet.app_hosts, Target("deploy", "v2", judge="web1"), Options(), {"id": "1", "who": "a"}):
        for step in group:
            assert (
                STEP_KINDS[step.name].limit
                <= step.limit
                <= 3600 + max(fleet.rollout[name] for name in ("ready", "migrate"))
            )
    run(rollout.steps([Step("migrate", ("web1",), {"seconds": 300})]))
    assert rollout.hosts.connections["web1"].asked == [("migrate", STEP_KINDS["migrate"].limit + 300, {"seconds": 300})]
