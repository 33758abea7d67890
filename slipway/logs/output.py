"""Output that waits for nobody: stdout and stderr of web, worker and beat in production.

Who reads them may stop, as an engine that hangs does. Then their pipe fills up, and whoever writes the next line would
wait, with the visitor whose request it tells of. Here a line goes out at once where there is room. Where there is
none it is kept, up to LIMIT bytes in each process, and a thread brings it out later; beyond that, lines are dropped
and counted, and the log says how many once it is read again.
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
LAST = 1  # second that a process gives at its end to what it has kept
WHOLE = 4096  # bytes that a pipe takes whole or not at all


class Output(io.RawIOBase):
    """A file that takes all it is given at once. `fd` has to be non-blocking."""

    observers: list[Callable[[int], object]] = []  # each called with the number of lines just lost

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.reset()
        # Its thread holds other locks only while it holds this one: so no child gets one that nobody will let go of.
        os.register_at_fork(before=lambda: self.lock.acquire(), after_in_parent=lambda: self.lock.release(),
                            after_in_child=self.reset)
        atexit.register(self.finish)

    def reset(self) -> None:
        """As new; also in a forked child: what is kept is its parent's to tell."""
        self.lock, self.kept, self.lost = threading.RLock(), bytearray(), 0
        self.thread: threading.Thread | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self.fd)

    def fileno(self) -> int:
        return self.fd

    def write(self, data: "Buffer") -> int:
        """Take all of it: out it goes, or it is kept or dropped."""
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
        """Write what there is room for. How many bytes are done with."""
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # nobody will ever read it
            self.drop(data)
            return len(data)

    def drop(self, data: bytes) -> None:
        """Count lines as lost."""
        lines = data.count(b"\n")
        self.lost += lines
        for observer in self.observers:
            observer(lines)

    def start(self) -> None:
        """Start the thread that brings out what is kept."""
        self.thread = threading.Thread(target=self.bring_out, name="output", daemon=True)
        try:
            self.thread.start()
        except RuntimeError:  # no more threads here: the next line tries again
            self.thread = None

    def bring_out(self) -> None:
        """Until nothing is kept any more."""
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
            logger.warning("%d lines of the log were lost: nobody read it", lost)

    def finish(self) -> None:
        """At the end of the process: wait for that thread, for a moment."""
        if thread := self.thread:
            thread.join(LAST)


def first_lines(data: bytearray) -> bytes:
    """As many whole lines as a pipe takes whole, so that none is torn by another process's; at least one."""
    end = data.rfind(b"\n", 0, WHOLE) + 1 or data.find(b"\n") + 1 or len(data)
    return bytes(data[:end])


def install() -> None:
    """From now on stdout and stderr wait for nobody, where they lead to a pipe or a terminal: files never wait."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if (opened := reopen(fd)) is not None:
            stream = io.TextIOWrapper(  # type: ignore[type-var]  # it asks for no buffer
                Output(opened), "utf-8", "backslashreplace", line_buffering=True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # Celery's signal handlers write there


def reopen(fd: int) -> int | None:
    """A non-blocking file descriptor of its own for the pipe or terminal behind `fd`, whose own flags others share.
    None where it is another thing, or may not be opened."""
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd):
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        pass
    return None
