"""INT, TERM and HUP: they end what may be given up, once, and nothing else."""

import asyncio
import os
import signal

import pytest

from slipway.deploy.errors import HostProblem, Interrupted
from slipway.deploy.ssh.interrupts import SIGNALS, heeded, heeding, ignored


def soon(*numbers):
    """These signals come one after the other, as soon as somebody waits."""
    for count, number in enumerate(numbers, 1):
        asyncio.get_running_loop().call_later(0.05 * count, os.kill, os.getpid(), number)


def test_a_logout_that_is_to_be_outlived_is():
    """Under nohup a command goes on when its terminal goes."""
    async def work():
        soon(signal.SIGHUP)
        await asyncio.sleep(0.3)
        return "ended"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert asyncio.run(heeding(work())) == "ended"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_it_is_heard_once():
    """What cleans up after it comes to its end, however often Ctrl-C is pressed."""
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
        asyncio.run(heeding(work()))
    assert done == ["cleaned up"] and [signal.getsignal(number) for number in SIGNALS] == before


def test_what_is_done_after_an_interrupt_is_done_as_ever():
    """A takeback has groups of tasks and time limits of its own: no cancellation is left over for them."""
    async def fails():
        raise HostProblem("no")

    async def work():
        with ignored():
            with pytest.raises(Interrupted):
                with heeded():
                    soon(signal.SIGHUP)
                    await asyncio.sleep(20)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(20)
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(fails())
                    await asyncio.sleep(20)
            await asyncio.sleep(0.01)
        return asyncio.current_task().cancelling()
    assert asyncio.run(heeding(work())) == 0
