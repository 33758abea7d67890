"""Our end of a pipe, or of a socket that is a program's stdin and stdout at once: so that each needs one descriptor."""

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import BinaryIO

MOST = 65536  # bytes that are read at once
File = socket.socket | BinaryIO


class Stream:
    """`hear` gets what comes, b"" at its end; None where nothing is read.

    asyncio's own transport of a socket forgets what has come when it cannot write, as after ssh's end.
    """

    def __init__(self, file: File, hear: Callable[[bytes], None] | None = None) -> None:
        self.file, self.hear, self.loop = file, hear, asyncio.get_running_loop()
        self.waiting: deque[memoryview] = deque()  # to be written
        self.deaf, self.last, self.gone = not hear, False, False
        os.set_blocking(file.fileno(), False)
        self.resume_reading()

    # ---- reading ----

    def pause_reading(self) -> None:
        """Read no more for now."""
        self.loop.remove_reader(self.file)

    def resume_reading(self) -> None:
        """Go on with reading."""
        if not self.deaf and not self.closed:
            self.loop.add_reader(self.file, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.file.fileno(), MOST)
        except BlockingIOError:
            return
        except OSError:  # a socket's other end is gone, and has not read all
            data = b""
        if not data:
            self.pause_reading()
            self.deaf = True
        if self.hear:
            self.hear(data)

    # ---- writing ----

    def write(self, data: bytes) -> None:
        """Write, without waiting: what does not go at once is kept. Where nobody reads any more, nothing is."""
        if not self.last and not self.gone and not self.closed:
            self.waiting.append(memoryview(data))
            self._write()

    def end(self) -> None:
        """Tell the program, after all that is kept, that nothing more comes."""
        self.last = True
        if not self.waiting and not self.gone and not self.closed:
            self._end()

    def _write(self) -> None:
        try:
            while self.waiting:
                left = self.waiting[0][os.write(self.file.fileno(), self.waiting[0]):]
                self.waiting.popleft()
                if left:
                    self.waiting.appendleft(left)
        except BlockingIOError:
            self.loop.add_writer(self.file, self._write)
            return
        except OSError:
            self.waiting.clear()
            self.gone = True
        self.loop.remove_writer(self.file)
        if self.last and not self.gone:
            self._end()

    def _end(self) -> None:
        self.gone = True
        if isinstance(self.file, socket.socket):
            with contextlib.suppress(OSError):
                self.file.shutdown(socket.SHUT_WR)
        else:
            self.close()

    # ---- its end ----

    @property
    def closed(self) -> bool:
        """Whether the descriptor has been given back."""
        return self.file.fileno() < 0 if isinstance(self.file, socket.socket) else self.file.closed

    def close(self) -> None:
        """Give the descriptor back, and forget what is not written."""
        if not self.closed:
            self.loop.remove_reader(self.file)
            self.loop.remove_writer(self.file)
            self.file.close()
            self.waiting.clear()
