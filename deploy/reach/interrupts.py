"""INT, TERM and HUP cancel what is being done, once, where that may be given up."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from ..errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
T = TypeVar("T")


class Heeding(contextlib.AbstractContextManager[None]):
    """While this block runs, the first signal cancels what it does, which then ends with Interrupted; or, not `heeded`,
    signals are let pass. The innermost block counts; what came in it is not told to those around it."""

    blocks: list["Heeding"] = []

    def __init__(self, heeded: bool = True) -> None:
        self.heeded, self.came = heeded, ""

    def __enter__(self) -> None:
        self.task = asyncio.current_task()
        self.blocks.append(self)
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
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
    block = Heeding.blocks[-1]
    if block.heeded and not block.came and block.task:
        block.came = signal.Signals(number).name
        block.task.cancel()


def heeded() -> Heeding:
    return Heeding()


def ignored() -> Heeding:
    return Heeding(heeded=False)


async def heeding(work: Coroutine[Any, Any, T]) -> T:
    """The work, which a signal ends."""
    with heeded():
        return await work
