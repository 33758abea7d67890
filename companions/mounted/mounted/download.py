"""A file on its way to a visitor: read piece by piece, each in time."""

import errno
import logging
import threading
import weakref
from collections.abc import Callable
from io import FileIO

from asgiref.sync import sync_to_async

from .beneath import NoSuch, told
from .in_time import Away, Mount

PIECE = 256 * 1024
logger = logging.getLogger(__name__)


class Cut(ConnectionResetError):
    """The rest of a file cannot be had. Servers close the connection at this, and log no traceback."""


class Download:
    """Its pieces. `ended` is called once: when it is closed, or dropped, as Django does under ASGI with the answer to a
    visitor who has left."""

    def __init__(self, mount: Mount, file: FileIO, size: int, name: str, ended: Callable[[], None]) -> None:
        self.mount, self.file, self.left, self.name = mount, file, size, name
        self.close = weakref.finalize(self, end, file, ended)
        self.close.atexit = False

    def read(self) -> bytes:
        with told():
            return self.file.read(min(PIECE, self.left))

    def piece(self) -> bytes:
        """The next one, empty at the end. Raises Cut."""
        if not self.left:
            return b""
        try:
            read = self.mount.in_time(self.read)
        except (Away, NoSuch) as error:
            raise self.cut(str(error)) from None
        if not read:
            raise self.cut("it has become shorter")
        self.left -= len(read)
        return read

    def cut(self, why: str) -> Cut:
        logger.warning("a download of %r broke off: %s", self.name, why)
        return Cut(errno.ECONNRESET, "the rest cannot be read")


def end(file: FileIO, ended: Callable[[], None]) -> None:
    """A close asks the file system, too, and may hang: nobody waits for it."""
    ended()
    threading.Thread(target=close, args=(file,), daemon=True).start()


def close(file: FileIO) -> None:
    try:
        file.close()
    except OSError:
        pass  # it was only read


class Pieces(Download):
    """Under WSGI."""

    def __iter__(self) -> "Pieces":
        return self

    def __next__(self) -> bytes:
        if piece := self.piece():
            return piece
        raise StopIteration


class AsyncPieces(Download):
    """Under ASGI, where Django would first read all that is not asynchronous into memory."""

    def __aiter__(self) -> "AsyncPieces":
        return self

    async def __anext__(self) -> bytes:
        if piece := await sync_to_async(self.piece, thread_sensitive=False)():
            return piece
        raise StopAsyncIteration
