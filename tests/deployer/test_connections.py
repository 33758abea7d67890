"""The deployer and several hosts at once: it reaches them by ssh, and takes all their locks or none."""

import asyncio
import os
import random
import signal
import sys
import time
from types import SimpleNamespace
from unittest import mock

import pytest

from deployer.clock import run
from deployer.conftest import fleet_of
from proc import ROOT, running
from proc import run as finish
from slipway.deploy.config import Host
from slipway.deploy.config.ssh import Ssh
from slipway.deploy.errors import DeployError, HostProblem, Interrupted, Locked, Refused
from slipway.deploy.ssh.connection import Connection
from slipway.deploy.ssh.connections import AT_ONCE, Connections
from slipway.deploy.ssh.gather import gather, on_each
from slipway.deploy.ssh.interrupts import SIGNALS, ignored, interruptible, run_interruptible


def named(*names):
    return [Host(name, name) for name in names]


@pytest.mark.parametrize("fails", [False, True])
def test_all_have_ended_when_nobody_waits_any_more(fails):
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
        task = asyncio.create_task(gather(clean_up, ["a", "b"]))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(ValueError if fails else asyncio.CancelledError):
            await task

    run(interrupted())
    assert ended == ["a", "b"]


@pytest.mark.parametrize(
    "names, error, message, code",
    [("ab", Refused, "on a: broken\non b: locked: by me", 4), ("a", DeployError, "on a: broken", 1)],
)
def test_a_lock_outranks_other_problems(names, error, message, code):
    async def fail(host):
        raise HostProblem("locked: by me", locked=True) if host.name == "b" else HostProblem("broken")

    with pytest.raises(DeployError) as caught:
        run(on_each(named(*names), fail, error))
    assert str(caught.value) == message and caught.value.exit_code == code


class Locks:
    """Hosts whose locks deployers take and release; each message takes a random time."""

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
        """Take all locks, or release those already taken; return the holder, or the error."""
        fleet = SimpleNamespace(rollout={"dead_after": 30})
        team = Connections(
            fleet,
            named(*names),
            connections={
                name: SimpleNamespace(lock=lambda *words, name=name, **options: self.take(who, name)) for name in names
            },
        )
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
    async def work():
        locks = Locks(seed)
        ends = await asyncio.gather(*(locks.deploy(who, "c", "a", "b") for who in ("ann", "bob", "eve")))
        return locks.held, sorted(ends)

    held, ends = run(work())
    winner = held["a"]
    assert held == dict.fromkeys("abc", winner) and ends == sorted([winner] + 2 * [f"on a: locked: {winner}"])


def test_many_hosts_are_reached_some_at_a_time(data):
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


def test_the_ssh_command_is_as_closed_as_can_be():
    command = Ssh("my config").command("deploy@web1", ["echo", "a b", "$(id)"])
    options = [command[index + 1] for index, word in enumerate(command) if word == "-o"]
    assert command[:3] == ["ssh", "-F", "my config"]
    assert {
        "BatchMode=yes",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
        "RequestTTY=no",
        "ForwardAgent=no",
        "ClearAllForwardings=yes",
        "ControlPath=none",
        "ControlMaster=no",
    } <= set(options)
    assert not [option for option in options if option.startswith("StrictHostKeyChecking")]
    assert command[-3:-1] == ["--", "deploy@web1"]
    done = finish(["sh", "-c", command[-1].replace("id -u", "echo 0")])
    assert done.stdout == "a b $(id)\n"


def soon(*numbers):
    """Send these signals to this process, one after the other, 0.05 s apart."""
    for count, number in enumerate(numbers, 1):
        asyncio.get_running_loop().call_later(0.05 * count, os.kill, os.getpid(), number)


def test_a_logout_that_is_to_be_outlived_is():
    async def work():
        soon(signal.SIGHUP)
        await asyncio.sleep(0.3)
        return "ended"

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert asyncio.run(run_interruptible(work())) == "ended"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_it_is_heard_once():
    done = []

    async def work():
        soon(signal.SIGINT, signal.SIGINT, signal.SIGTERM)
        try:
            await asyncio.sleep(20)
        finally:
            await asyncio.sleep(0.3)
            done.append("cleaned up")

    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(Interrupted, match="SIGINT"):
        asyncio.run(run_interruptible(work()))
    assert done == ["cleaned up"] and [signal.getsignal(number) for number in SIGNALS] == before


def test_a_terminal_that_is_closed_ends_a_command():
    """The kernel tells only the session's leader, which may be make: that waits for us."""
    terminal, end = os.openpty()
    work = "from slipway.deploy.ssh.interrupts import *; asyncio.run(run_interruptible(asyncio.sleep(100)))"
    with running([sys.executable, "-c", work], stdin=end, cwd=ROOT) as process:
        os.close(end)
        time.sleep(1)
        assert process.poll() is None
        os.close(terminal)
        assert process.wait(30) == 1 and "Interrupted: interrupted by SIGHUP" in process.output()


def test_what_is_done_after_an_interrupt_is_done_as_ever():
    """A takeback after an interrupt has time limits of its own; no pending cancellation disturbs them."""

    async def work():
        with ignored():
            with pytest.raises(Interrupted), interruptible():
                soon(signal.SIGHUP)
                await asyncio.sleep(20)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(20)
            await asyncio.sleep(0.01)
        return asyncio.current_task().cancelling()

    assert asyncio.run(run_interruptible(work())) == 0
