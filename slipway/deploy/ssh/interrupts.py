"""Handles the signals INT, TERM and HUP."""

import asyncio
import contextlib
import functools
import signal
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
        self.raised, self.came = raised, ""

    def __enter__(self) -> None:
        self.task = asyncio.current_task()
        self.blocks.append(self)
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # under nohup, keep ignoring HUP
                asyncio.get_running_loop().add_signal_handler(number, hear, number)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.blocks.pop()
        for number in () if self.blocks else SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
        if self.came:
            assert self.task
            self.task.uncancel()
            if kind is asyncio.CancelledError:
                raise Interrupted(f"interrupted by {self.came}") from None


def hear(number: int) -> None:
    """Cancel the innermost Signals block, unless this block ignores signals."""
    block = Signals.blocks[-1]
    if block.raised and not block.came and block.task:
        block.came = signal.Signals(number).name
        block.task.cancel()


interruptible = Signals
ignored = functools.partial(Signals, raised=False)


async def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    with interruptible():
        return await work
