"""A log that is appended to, and tells where a record is no longer what was written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterator

from .files import locked, named, sync


class Damaged(Exception):
    """A record that others follow is not as it was written: the disk or a person has changed it."""


class AppendLog:
    """Records, a line each: the CRC32 of it in hex, a space, the record. `grep` reads it, too."""

    def __init__(self, path: str | os.PathLike[str], mode: int = 0o644) -> None:
        self.path, self.mode = os.fspath(path), mode

    def append(self, record: bytes) -> None:
        """Add a record, which is on the disk once this returns. What a kill or a power cut has left of another one is
        cut off. Raises OSError, once it has tried to take the record back; ValueError for a line break in it."""
        if b"\n" in record:
            raise ValueError("a record is one line")
        with locked(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, self.mode) as number, named(self.path):
            size = whole(number)
            os.ftruncate(number, size)
            os.fsync(number)  # a killed process may have left some unsynced: so only the last may ever be torn
            if not size:
                sync(os.path.dirname(self.path))
            try:
                write(number, line(record))
                os.fsync(number)
            except OSError:
                with contextlib.suppress(OSError):  # which would hide why
                    os.ftruncate(number, size)
                raise

    def __iter__(self) -> Iterator[bytes]:
        """The records that are there now, the oldest first; none where there is no file. Leaves out an end that is
        torn, as its `append` never returned. Raises Damaged at any other."""
        with contextlib.suppress(FileNotFoundError), locked(self.path, shared=True) as number:
            size = whole(number)
            fcntl.flock(number, fcntl.LOCK_UN)  # up to there nobody changes it
            with open(number, "rb", closefd=False) as file:
                while file.tell() < size:
                    begins, text = file.tell(), file.readline()
                    if not intact(text):
                        raise Damaged(f"{self.path} is damaged at byte {begins}, in the record {text[:80]!r}")
                    yield text[9:-1]


def line(record: bytes) -> bytes:
    """A record as a line of the file."""
    return b"%08x %s\n" % (zlib.crc32(record), record)


def intact(text: bytes) -> bool:
    """Whether a line is as it was written."""
    return text == line(text[9:-1])


def whole(number: int) -> int:
    """The size of an open log, without an end that is torn."""
    size = os.fstat(number).st_size
    begins = last_line(number, size)
    return size if intact(os.pread(number, size - begins, begins)) else begins


def last_line(number: int, size: int) -> int:
    """Where the last line of an open file begins."""
    known = max(size - 1, 0)  # its own line break is none before it
    while known:
        start = max(0, known - 4096)
        found = os.pread(number, known - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        known = start
    return 0


def write(number: int, text: bytes) -> None:
    """Write all of it, mostly at once. Raises OSError where there is no room."""
    while text:
        text = text[os.write(number, text):]
