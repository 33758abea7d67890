"""Handles the signals INT, TERM and HUP."""

import asyncio
import contextlib
import functools
import os
import select
import signal
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from ..errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
T = TypeVar("T")


class Signals(contextlib.AbstractContextManager[None]):
    """A `with` block for INT, TERM, HUP. If `raised`, the first signal raises Interrupted; else all are ignored."""

    blocks: list["Signals"] = []

    def __init__(self, raised: bool = True) -> None:
        self.raised = raised
        self.received = ""

    def __enter__(self) -> None:
        self.task = asyncio.current_task()
        self.blocks.append(self)
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # under nohup, keep ignoring HUP
                asyncio.get_running_loop().add_signal_handler(number, on_signal, number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.blocks.pop()
        for number in () if self.blocks else SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
        if self.received:
            assert self.task  # noqa: S101  for types
            self.task.uncancel()
            if kind is asyncio.CancelledError:
                raise Interrupted(f"interrupted by {self.received}") from None


def on_signal(number: int) -> None:
    """Cancel the innermost Signals block, unless this block ignores signals."""
    block = Signals.blocks[-1]
    if block.raised and not block.received and block.task:
        block.received = signal.Signals(number).name
        block.task.cancel()


interruptible = Signals
ignored = functools.partial(Signals, raised=False)


def notice_hangup() -> None:
    """Send SIGHUP to this process when its terminal is closed. The kernel sends it only to the session's leader. If
    that is make (ssh -t host make console), it waits for this process."""
    if terminal := [number for number in range(3) if os.isatty(number)]:
        threading.Thread(target=await_hangup, args=terminal[:1], daemon=True).start()


def await_hangup(terminal: int) -> None:
    poll = select.poll()
    poll.register(terminal, 0)
    if poll.poll()[0][1] & select.POLLHUP:
        os.kill(os.getpid(), signal.SIGHUP)


async def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    with interruptible():
        notice_hangup()
        return await work
