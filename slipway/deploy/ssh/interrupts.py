"""INT, TERM and HUP: where a signal may interrupt what is being done, it cancels it, once."""

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


class Heeding(contextlib.AbstractContextManager[None]):
    """A block that the first signal cancels, raising Interrupted; or, not `heeded`, one that ignores signals."""

    blocks: list["Heeding"] = []

    def __init__(self, heeded: bool = True) -> None:
        self.heeded, self.came = heeded, ""

    def __enter__(self) -> None:
        self.task = asyncio.current_task()
        self.blocks.append(self)
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it
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
    """Handle a signal."""
    block = Heeding.blocks[-1]
    if block.heeded and not block.came and block.task:
        block.came = signal.Signals(number).name
        block.task.cancel()


heeded = Heeding  # a block that a signal interrupts
ignored = functools.partial(Heeding, heeded=False)  # one that no signal interrupts


async def heeding(work: Coroutine[Any, Any, T]) -> T:
    """What the work returns. A signal interrupts it: raises Interrupted."""
    with heeded():
        return await work
