"""Non-blocking stdout and stderr for web, worker and beat in production.

If Docker hangs, it stops reading the pipe of the container's output, and the pipe fills up. Then processes that log
would block, and visitors would wait. Therefore this module buffers up to LIMIT bytes, and a thread writes them later.
Further lines are dropped; their number is logged once Docker reads again.
"""

import atexit
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
LAST = 1  # seconds that an exiting process waits, at most, until the buffered lines are written
WHOLE = 4096  # bytes that a pipe takes all at once or not at all


class Output(io.RawIOBase):
    """A file whose `write` never blocks. Its descriptor `fd` must be non-blocking."""

    observers: list[Callable[[int], object]] = []  # each is called with the number of lines that were just lost

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.reset()
        # A fork waits for self.lock: otherwise a child could inherit a metric's lock that `drop` holds at this moment.
        os.register_at_fork(before=lambda: self.lock.acquire(), after_in_parent=lambda: self.lock.release(),
                            after_in_child=self.reset)
        atexit.register(self.finish)

    def reset(self) -> None:
        """Empty the buffer. A forked child calls this, because its parent writes the buffered lines."""
        self.lock, self.kept, self.lost = threading.RLock(), bytearray(), 0
        self.thread: threading.Thread | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self.fd)

    def fileno(self) -> int:
        return self.fd

    def write(self, data: "Buffer") -> int:
        data = bytes(data)
        with self.lock:
            rest = data if self.kept else data[self.put(data):]
            if rest == data and len(self.kept) + len(data) > LIMIT:
                self.drop(data)
            else:
                self.kept += rest
            if self.kept and not self.thread:
                self.start()
        return len(data)

    def put(self, data: bytes) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # the reader has closed the pipe
            self.drop(data)
            return len(data)

    def drop(self, data: bytes) -> None:
        lines = data.count(b"\n")
        self.lost += lines
        for observer in self.observers:
            observer(lines)

    def start(self) -> None:
        self.thread = threading.Thread(target=self.bring_out, name="output", daemon=True)
        try:
            self.thread.start()
        except RuntimeError:  # no thread can start now: the next write tries again
            self.thread = None

    def bring_out(self) -> None:
        room, kept = select.poll(), True
        room.register(self.fd, select.POLLOUT)
        while kept:
            room.poll(1000)
            with self.lock:
                del self.kept[:self.put(first_lines(self.kept))]
                kept = bool(self.kept)
                if not kept:
                    lost, self.lost, self.thread = self.lost, 0, None
        if lost:
            logger.warning("%d log lines were lost: Docker read too slowly", lost)

    def finish(self) -> None:
        if thread := self.thread:
            thread.join(LAST)


def first_lines(data: bytearray) -> bytes:
    """Return as many whole lines (at least one) as a pipe takes at once, so that no other output splits them."""
    end = data.rfind(b"\n", 0, WHOLE) + 1 or data.find(b"\n") + 1 or len(data)
    return bytes(data[:end])


def install() -> None:
    """Make stdout and stderr non-blocking if they are pipes or terminals; files never block."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if (opened := reopen(fd)) is not None:
            stream = io.TextIOWrapper(  # type: ignore[type-var]  # a raw stream works, too
                Output(opened), "utf-8", "backslashreplace", line_buffering=True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # Celery's signal handlers write to sys.__stdout__ or sys.__stderr__


def reopen(fd: int) -> int | None:
    """Open the pipe or terminal `fd` again, and return the new, non-blocking descriptor. Return None for other files or
    on an error. `fd` itself stays blocking, because other processes share it."""
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd):
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        pass
    return None
