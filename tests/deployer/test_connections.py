"""What the deployer does with several hosts at once: locks, steps, and what it hears of one that is not well."""

import asyncio
import random
from unittest import mock

import pytest

from slipway.deploy import config
from slipway.deploy.config import Host
from slipway.deploy.errors import DeployError, HostProblem, Locked, Lost, Refused, on_hosts
from slipway.deploy.rollout.plan import STEP_KINDS, Options, Step, Target, plan
from slipway.deploy.ssh.connection import Connection
from slipway.deploy.ssh.connections import AT_ONCE, Connections, report
from slipway.deploy.ssh.gather import all_or_none, insist, on_each, together
from deployer.clock import run

SICK = {"event": "sick", "problem": "of 30 answers to visitors 30 were errors", "more": {"log_of": ["shop-web-b", 1]}}


class Standing:
    """A connection whose host answers after so long; `asked`: what it was asked, with the time it was given."""

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


def test_a_web_that_ends_as_it_boots_may_need_migrations(hosts):
    """While the deployer is lenient its end counts only later; it is the cause where the release could not be asked."""
    async def steps():
        hosts.lenient = True
        hear(hosts, "web1", step="start")
        hear(hosts, "web2", step="start")
        await hosts.run([Step("publish", ("web2",))])
        hosts.connections["web2"].answer = HostProblem("no")
        for step, told in ("verdicts", "web1: start: of 30"), ("migrate", "web2: migrate: no"):
            with pytest.raises(HostProblem) as caught:
                await hosts.run([Step(step, ("web2",))])
            assert report(caught.value).startswith(told)
    run(steps())
    with pytest.raises(HostProblem) as caught:
        hosts.boots(migrated=False)
    assert caught.value.host == "web1" and not hosts.cause and not hosts.sick
    assert hosts.boots(migrated=False) is False
    hear(hosts, "web2", step="start")
    assert hosts.cause.host == "web2"


def test_what_ended_before_the_migrations_has_another_try(hosts):
    """All are started anew; from then on an end counts."""
    hosts.lenient = True
    hear(hosts, "web1", step="start")
    assert hosts.boots(migrated=True) is True
    hear(hosts, "web2", step="start")
    assert hosts.cause.host == "web2"


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


def test_an_alarm_between_two_steps_stops_the_next(hosts):
    """A host that falls ill when nothing is under way keeps the next wave from being told to flip at all."""
    run(hosts.run([Step("flip", ("web1",))]))
    hear(hosts, "web1")
    assert report(failure(hosts.run([Step("flip", ("web2", "work"))]))) == f"web1: watch: {SICK['problem']}"
    assert [name for name, connection in hosts.connections.items() if connection.asked] == ["web1"]
    assert not any(event.get("host") in ("web2", "work") for event in hosts.told)


def test_a_commit_is_not_ended_by_another_hosts_failure(hosts):
    """All hosts come to their end, and each tells how."""
    hosts.connections["web1"].answer, hosts.connections["web2"].takes = Lost("gone"), 100
    failed = run(hosts.try_step(Step("commit", ("web1", "web2", "work"))))
    assert list(failed) == ["web1"] and isinstance(failed["web1"], Lost)
    assert {(event["host"], event["state"]) for event in hosts.told if event["state"] != "start"} == {
        ("web1", "failed"), ("web2", "done"), ("work", "done")}


def test_the_log_is_asked_for_when_all_is_over(hosts):
    """Only then, and only of a host that can be asked. Where there is nothing to show, that is said."""
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
    for web1.answer, said in (({"log": []}, "shop-web-b has logged nothing"),
                              (HostProblem("no answer"), "the log of shop-web-b cannot be read: no answer")):
        found = report(run(hosts.evidence(problem(), {"web1": {"code": 1}})))
        assert found == report(problem()) + f"\n  | ({said})"


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


class Locks:
    """Hosts whose locks deployers take and give back; each of their messages takes as long as chance has it."""

    def __init__(self, seed=0, **held):
        self.chance, self.held, self.said = random.Random(seed), held, []

    async def deploy(self, who, names, slow=1.0):
        """Take all, or let go of all. Returns who got them, or why not."""
        async def take(host):
            self.said.append((who, host.name))
            await asyncio.sleep(self.chance.random() * slow)
            holder = self.held.setdefault(host.name, who)
            if holder != who:
                await asyncio.sleep(self.chance.random() * slow)
                raise HostProblem(f"locked: {holder}", locked=True)
            mine.append(host.name)
            await asyncio.sleep(self.chance.random() * slow)
        mine = []
        await asyncio.sleep(self.chance.random() * slow)
        try:
            await all_or_none(named(*names), lambda host, ours: insist(lambda: take(host), ours))
        except Locked as error:
            await asyncio.sleep(self.chance.random() * slow)
            for name in mine:
                del self.held[name]
            return str(error)
        return who


@pytest.mark.parametrize("seed", range(50))
def test_of_those_who_want_the_same_hosts_one_gets_them_all(seed):
    """However their messages cross: the one that has the first by name; the others are told who."""
    async def work():
        locks = Locks(seed)
        names = (locks.deploy(who, ["c", "a", "b"]) for who in ("ann", "bob", "eve"))
        return locks.held, sorted(await asyncio.gather(*names))
    held, ends = run(work())
    winner = held["a"]
    assert held == dict.fromkeys("abc", winner) and ends == sorted([winner] + 2 * [f"on a: locked: {winner}"])


def test_locks_are_taken_at_once():
    """No host waits for another's answer."""
    async def work():
        locks, began = Locks(), asyncio.get_running_loop().time()
        locks.chance.random = lambda: 1
        assert await locks.deploy("ann", "abc", slow=5) == "ann"
        return asyncio.get_running_loop().time() - began
    assert run(work()) == 15


def test_who_has_the_first_does_not_wait_for_ever():
    """Somebody who is at work on another host goes on; nobody is told before a retirement on the first has ended."""
    async def work(**held):
        locks, began = Locks(**held), asyncio.get_running_loop().time()
        return await locks.deploy("ann", "abc"), asyncio.get_running_loop().time() - began, {*locks.said}
    said, seconds, asked = run(work(c="provision by bob"))
    assert said == "on c: locked: provision by bob" and 10 < seconds < 16 and len(asked) == 3
    said, seconds, asked = run(work(a="deploy by bob", c="deploy by bob"))
    assert said == "on a: locked: deploy by bob" and seconds < 4


def test_who_does_not_get_the_first_lets_go_at_once():
    """Though another host waits for a retirement, and has not answered yet."""
    ended = []

    async def lock(host, ours):
        try:
            await asyncio.sleep({"a": 1, "b": 2, "c": 120}[host.name])
            if host.name == "a":
                raise HostProblem("locked: deploy by bob", locked=True)
        finally:
            ended.append((host.name, asyncio.get_running_loop().time()))
    with pytest.raises(Locked, match="^on a: locked: deploy by bob$"):
        run(all_or_none(named("c", "a", "b"), lock))
    assert sorted(ended) == [("a", 1), ("b", 1), ("c", 1)]


def test_what_is_no_lock_of_somebody_s_is_not_tried_again():
    """It is told when the first host has answered, too."""
    asked = []

    async def broken():
        asked.append(1)
        raise HostProblem("there is no /run/shop")

    async def work():
        began = asyncio.get_running_loop().time()
        with pytest.raises(DeployError, match="^on b: there is no /run/shop$"):
            await all_or_none(named("a", "b"), lambda host, ours: insist(broken, ours) if ours else asyncio.sleep(3),
                              DeployError)
        return asyncio.get_running_loop().time() - began
    assert run(work()) == 3 and asked == [1]


def test_many_hosts_are_reached_some_at_a_time(data):
    """Each takes its share of CPU here, and has a minute: of all at once, none may be there in time. One
    that can't be reached makes room as well."""
    data["hosts"] = {f"web{number}": {"roles": ["web"]} for number in range(200)}
    making = most = 0

    async def open(connection):
        nonlocal making, most
        making += 1
        most = max(most, making)
        await asyncio.sleep(1)
        making -= 1
        if "web7" in connection.words:
            raise HostProblem("cannot be reached")

    async def reach():
        fleet = config.build(data, {}, "test")
        async with Connections(fleet, list(fleet.app_hosts)) as found:
            with mock.patch.object(Connection, "open", open):
                problems = await found.reach()
            return len(found.hosts), problems
    assert run(reach()) == (199, {"web7": ["cannot be reached"]})
    assert most == AT_ONCE < 200
