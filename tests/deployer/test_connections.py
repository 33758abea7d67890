"""What the deployer does with several hosts at once: locks, steps, and what it hears of one that is not well."""

import asyncio

import pytest

from deploy.decide.config import Host
from deploy.decide.plan import STEP_KINDS, Options, Step, Target, plan
from deploy.errors import DeployError, HostProblem, Locked, Lost, Refused, on_hosts
from deploy.reach.connections import Connections, report
from deploy.reach.gather import first_alone, on_each, together
from deployer.clock import run

SICK = {"event": "sick", "problem": "of 30 answers to visitors 30 were errors", "more": {"log_of": ["shop-web-b", 1]}}


class Standing:
    """A connection whose host answers after so long; `asked`: what it was asked, with the time it was given."""

    def __init__(self):
        self.asked, self.takes, self.answer, self.running = [], 0, {}, 0

    async def ask(self, do, timeout, **args):
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
def hosts(fleet):
    told = []
    hosts = Connections(fleet, list(fleet.app_hosts), told.append,
                        connections={host.name: Standing() for host in fleet.app_hosts})
    hosts.told = told
    return hosts


def hear(hosts, name, **more):
    hosts._hear(name, {**SICK, **more})


def failure(work):
    with pytest.raises(HostProblem) as caught:
        run(work)
    return caught.value


def test_what_is_under_way_fails_at_once(hosts):
    """A step on another host does not keep the deployer from taking all back, nor does one that is yet to come."""
    hosts.connections["web2"].takes = 3600

    async def steps():
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, hear, hosts, "web1")
        for _ in range(2):
            with pytest.raises(HostProblem) as caught:
                await hosts.run([Step("flip", ("web2",))])
            assert report(caught.value) == f"web1: watch: {SICK['problem']}"
        assert loop.time() < 1 and not hosts.connections["web2"].running
    run(steps())
    assert {"event": "sick", "host": "web1", "text": f"not healthy: {SICK['problem']}"} in hosts.told


def test_what_ends_as_it_boots_is_told_of_its_start(hosts):
    """Whatever step is under way then; a host cannot make the report name what it likes."""
    hear(hosts, "web1", step="start")
    assert report(failure(hosts.run([Step("migrate", ("web2",))]))).startswith("web1: start: of 30")
    hosts.sick, hosts.cause = {}, None
    hear(hosts, "web1", step="\033[2J")
    assert report(failure(hosts.run([Step("migrate", ("web2",))]))).startswith("web1: watch: of 30")


def test_two_hosts_at_a_time(hosts):
    """The first that is heard of is the cause; nobody stumbles over the second."""
    hear(hosts, "web2"), hear(hosts, "web1")
    assert report(failure(hosts.run([Step("flip", ("web1",))]))).startswith("web2: watch")


def test_some_may_be_sick(hosts):
    """As many as there are to spare: their watch counts as done, one more fails all."""
    hosts.spare = 1
    hosts.connections["web1"].answer = HostProblem(SICK["problem"])
    hear(hosts, "web1")
    assert run(hosts.run([Step("watch", ("web1", "web2"))])) == {("watch", "web1"): {}, ("watch", "web2"): {}}
    hear(hosts, "web2")
    assert failure(hosts.run([Step("watch", ("web1",))])).host == "web2"


def test_a_step_that_fails_ends_its_group(hosts):
    """The first failure is raised, with its step and host; nobody waits for the others, whose end is told."""
    hosts.connections["web1"].answer, hosts.connections["web2"].takes = HostProblem("no"), 3600
    problem = failure(hosts.run([Step("publish", ("web1", "web2")), Step("migrate", ("work",))]))
    assert (problem.step, problem.host, str(problem)) == ("publish", "web1", "no")
    assert [(event["step"], event["host"]) for event in hosts.told if event["state"] == "failed"] == [
        ("publish", "web1"), ("publish", "web2")]


def test_so_many_hosts_at_once(hosts):
    """A step is begun on as many hosts as may be, on the others as these are done."""
    for connection in hosts.connections.values():
        connection.takes = 1

    async def highest():
        flipping = asyncio.create_task(hosts.run([Step("flip", ("web1", "web2", "work"), parallel=2)]))
        seen = []
        while not flipping.done():
            seen.append(sum(connection.running for connection in hosts.connections.values()))
            await asyncio.sleep(0.3)
        return max(seen), [event["host"] for event in hosts.told if event["state"] == "start"]
    assert run(highest()) == (2, ["web1", "web2", "work"])


@pytest.mark.parametrize("fails, asked", [("web1", ["web1"]), ("web2", ["web1", "web2"])])
def test_after_a_failure_no_other_host_begins(hosts, fails, asked):
    """A host that waits for its turn is not told to flip to a release that has failed on another."""
    hosts.connections[fails].answer = HostProblem("no")
    assert failure(hosts.run([Step("flip", ("web1", "web2", "work"), parallel=1)])).host == fails
    assert [name for name, connection in hosts.connections.items() if connection.asked] == asked


def test_a_commit_is_not_ended_by_another_hosts_failure(hosts):
    """All hosts come to their end, and each tells how."""
    hosts.connections["web1"].answer, hosts.connections["web2"].takes = Lost("gone"), 100
    failed = run(hosts.try_step(Step("commit", ("web1", "web2", "work"))))
    assert list(failed) == ["web1"] and isinstance(failed["web1"], Lost)
    assert {(event["host"], event["state"]) for event in hosts.told if event["state"] != "start"} == {
        ("web1", "failed"), ("web2", "done"), ("work", "done")}


def test_the_log_is_asked_for_when_all_is_over(hosts):
    """Only then, and only of a host that can be asked; a journal that says nothing takes nothing away."""
    def problem():
        found = HostProblem(SICK["problem"], more=SICK["more"])
        found.step, found.host = "watch", "web1"
        return found
    web1 = hosts.connections["web1"]
    web1.answer = {"log": ["Traceback", "boom"]}
    assert report(run(hosts.evidence(problem(), {"web1": None}))) == report(problem()) and web1.asked == []
    found = report(run(hosts.evidence(problem(), {"web1": {"code": 1}})))
    assert found == report(problem()) + "\n  | Traceback\n  | boom"
    assert web1.asked == [("said", 20, {"name": "shop-web-b", "since": 1})]
    web1.answer = HostProblem("no answer")
    assert report(run(hosts.evidence(problem(), {"web1": {"code": 1}}))) == report(problem())


def test_every_step_has_a_limit(fleet, hosts):
    """What it is given, and what it may have to wait for besides: minutes, not a day."""
    for group in plan(fleet, fleet.app_hosts, Target("deploy", "v2", judge="web1"), Options(), {"id": "1", "who": "a"}):
        for step in group:
            assert STEP_KINDS[step.name].limit <= step.limit <= 3600 + max(
                fleet.rollout[name] for name in ("ready", "migrate"))
    run(hosts.run([Step("migrate", ("web1",), {"seconds": 300})]))
    assert hosts.connections["web1"].asked == [("migrate", STEP_KINDS["migrate"].limit + 300, {"seconds": 300})]


def named(*names):
    return [Host(name, name) for name in names]


@pytest.mark.parametrize("fails", [False, True])
def test_all_have_ended_when_nobody_waits_any_more(fails):
    """Who is interrupted, or hears that one failed, leaves none behind that has yet to clean up."""
    ended = []

    async def clean_up(name):
        try:
            if fails and name == "a":
                raise ValueError
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep({"a": 0, "b": 1}[name])
            ended.append(name)

    async def interrupted():
        task = asyncio.create_task(together(clean_up, ["a", "b"]))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(ValueError if fails else asyncio.CancelledError):
            await task
    run(interrupted())
    assert ended == ["a", "b"]


def test_all_hosts_are_told_of_in_one_report():
    """What is wrong with several hosts is said once, after their names, when all have answered."""
    async def fail(host):
        await asyncio.sleep(len(host.name))
        raise HostProblem("broken")
    with pytest.raises(Refused, match="^on a, bb: broken$"):
        run(on_each(named("bb", "a"), fail))
    assert on_hosts({"b": ["x"], "a": ["x", "y"]}) == "on a, b: x\non a: y"


def test_a_lock_outranks_other_problems():
    """Where one host is locked, that is what the exit code says; else it is what the caller asked for."""
    async def locked(host):
        raise HostProblem("locked: by me", locked=True) if host.name == "b" else HostProblem("broken")

    async def broken(host):
        raise HostProblem("broken")
    with pytest.raises(Locked, match="on a: broken\non b: locked: by me") as caught:
        run(on_each(named("a", "b"), locked))
    assert caught.value.exit_code == 4
    with pytest.raises(DeployError) as caught:
        run(on_each(named("a"), broken, DeployError))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("free", [True, False])
def test_the_first_host_decides(free):
    """Of two who want the same hosts one gets them all: the first by name is asked alone."""
    asked = []

    async def lock(host):
        asked.append(host.name)
        await asyncio.sleep(1)
        assert len(asked) == 3 or host.name == "a", "all others at once"
        if not free:
            raise HostProblem("locked", locked=True)
    if free:
        run(first_alone(named("c", "a", "b"), lock))
        assert asked == ["a", "b", "c"]
    else:
        with pytest.raises(Locked):
            run(first_alone(named("c", "a", "b"), lock))
        assert asked == ["a"]
