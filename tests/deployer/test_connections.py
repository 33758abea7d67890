"""What the deployer does with several hosts at once: reaches them, and takes all their locks or none."""

import asyncio
import random
from types import SimpleNamespace
from unittest import mock

import pytest

from slipway.deploy.config import Host
from slipway.deploy.errors import DeployError, HostProblem, Locked, Refused, on_hosts
from slipway.deploy.ssh.connection import Connection
from slipway.deploy.ssh.connections import AT_ONCE, Connections
from slipway.deploy.ssh.gather import on_each, together
from deployer.clock import run
from deployer.conftest import fleet_of


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


@pytest.mark.parametrize("names, error, said, code", [
    ("ab", Refused, "on a: broken\non b: locked: by me", 4), ("a", DeployError, "on a: broken", 1)])
def test_a_lock_outranks_other_problems(names, error, said, code):
    """Where one host is locked, that is what the exit code says; else it is what the caller asked for."""
    async def fail(host):
        raise HostProblem("locked: by me", locked=True) if host.name == "b" else HostProblem("broken")
    with pytest.raises(DeployError) as caught:
        run(on_each(named(*names), fail, error))
    assert str(caught.value) == said and caught.value.exit_code == code


class Locks:
    """Hosts whose locks deployers take and give back; each of their messages takes as long as chance has it."""

    def __init__(self, seed=0, **held):
        self.chance, self.held = random.Random(seed), held

    async def message(self):
        await asyncio.sleep(self.chance.random())

    async def take(self, who, name):
        await self.message()
        holder = self.held.setdefault(name, who)
        await self.message()
        if holder != who:
            raise HostProblem(f"locked: {holder}", locked=True)

    async def deploy(self, who, *names):
        """Take all, or give back all. Returns who got them, or why not."""
        fleet = SimpleNamespace(rollout={"dead_after": 30})
        team = Connections(fleet, named(*names), connections={
            name: SimpleNamespace(lock=lambda *words, name=name, **options: self.take(who, name)) for name in names})
        await self.message()
        try:
            await team.lock(who)
        except Locked as error:
            await self.message()
            for name in team.locked:
                del self.held[name]
            return str(error)
        return who


@pytest.mark.parametrize("seed", range(50))
def test_of_those_who_want_the_same_hosts_one_gets_them_all(seed):
    """However their messages cross: the one that has the first by name; the others are told who."""
    async def work():
        locks = Locks(seed)
        ends = await asyncio.gather(*(locks.deploy(who, "c", "a", "b") for who in ("ann", "bob", "eve")))
        return locks.held, sorted(ends)
    held, ends = run(work())
    winner = held["a"]
    assert held == dict.fromkeys("abc", winner) and ends == sorted([winner] + 2 * [f"on a: locked: {winner}"])


def test_locks_after_the_first_are_taken_at_once():
    """No host waits for another's answer; where one is locked, those that were taken are told."""
    async def work(**held):
        locks, began = Locks(**held), asyncio.get_running_loop().time()
        locks.chance.random = lambda: 1
        return await locks.deploy("ann", *"abcd"), asyncio.get_running_loop().time() - began, locks.held
    assert run(work()) == ("ann", 5, dict.fromkeys("abcd", "ann"))
    assert run(work(c="bob")) == ("on c: locked: bob", 6, {"c": "bob"})


def test_many_hosts_are_reached_some_at_a_time(data):
    """Each takes its share of CPU here, and has a minute: of all at once, none may be there in time. One
    that can't be reached makes room as well."""
    fleet = fleet_of(data, {"hosts": {f"web{number}": {"roles": ["web"]} for number in range(200)}})
    making, most = set(), []

    async def open(connection):
        making.add(connection)
        most.append(len(making))
        await asyncio.sleep(1)
        making.remove(connection)
        if "web7" in connection.words:
            raise HostProblem("cannot be reached")

    async def reach():
        async with Connections(fleet, list(fleet.app_hosts)) as found:
            with mock.patch.object(Connection, "open", open):
                problems = await found.reach()
            return len(found.hosts), problems
    assert run(reach()) == (199, {"web7": ["cannot be reached"]})
    assert max(most) == AT_ONCE < 200
