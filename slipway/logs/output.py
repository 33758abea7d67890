"""Non-blocking stdout and stderr for web, worker and beat in production.

If Docker hangs, it stops reading the pipe of the container's output, and the pipe fills up. Then processes that log
would block, and visitors would wait. Therefore the pipe gets room for LIMIT bytes, and lines that do not fit are
dropped; their number is logged with the next line that fits.
"""

import contextlib
import fcntl
import io
import logging
import os
import select
import stat
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

logger = logging.getLogger(__name__)

LIMIT = 1 << 20


class Output(io.RawIOBase):
    """A file whose `write` never blocks. Its descriptor `fd` must be non-blocking."""

    observers: list[Callable[[int], object]] = []  # each is called with the number of lines that were just lost

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.reset()
        # A fork waits for self.lock: otherwise a child could inherit a metric's lock that `drop` holds at this moment.
        os.register_at_fork(
            before=lambda: self.lock.acquire(),  # noqa: PLW0108  a child that forks has another lock, by reset
            after_in_parent=lambda: self.lock.release(),  # noqa: PLW0108
            after_in_child=self.reset,
        )

    def reset(self) -> None:
        self.lock = threading.RLock()
        self.rest = b""
        self.lost = 0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.fd

    def write(self, data: "Buffer") -> int:
        data = bytes(data)
        lost = 0
        with self.lock:
            self.rest = self.rest[self.put(self.rest) :]  # of a line too long for the pipe to take at once
            if self.rest or not (done := self.put(data)):
                self.drop(data)
                return len(data)
            self.rest = data[done:]
            if self.lost and select.select([], [self.fd], [], 0)[1]:  # there is room for one line more
                lost = self.lost
                self.lost = 0
        if lost:
            logger.warning("%d log lines were lost: Docker read too slowly", lost)
        return len(data)

    def put(self, data: bytes) -> int:
        try:
            return os.write(self.fd, data)
        except OSError:  # the pipe is full, or its reader has gone
            return 0

    def drop(self, data: bytes) -> None:
        lines = data.count(b"\n")
        self.lost += lines
        for observer in self.observers:
            observer(lines)


def install() -> None:
    """Make stdout and stderr non-blocking if they are pipes or terminals; files never block."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if (opened := reopen(fd)) is not None:
            stream = io.TextIOWrapper(  # type: ignore[type-var]  # a raw stream works, too
                Output(opened), "utf-8", "backslashreplace", line_buffering=True
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # Celery's signal handlers write to sys.__stdout__ or sys.__stderr__


def reopen(fd: int) -> int | None:
    """Open the pipe or terminal `fd` again, and return the new, non-blocking descriptor. Return None for other files or
    on an error. `fd` itself stays blocking, because other processes share it."""
    with contextlib.suppress(OSError):
        if stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd):
            opened = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            with contextlib.suppress(OSError):  # a terminal, or the machine's pipes have their limit of memory
                fcntl.fcntl(opened, fcntl.F_SETPIPE_SZ, LIMIT)
            return opened
    return None
