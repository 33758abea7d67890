"""What files consist of, piece by piece, so that memory does not grow with them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from django.core.files import File

from .models import CHUNK, Blob, Chunk


def pieces(content: Any) -> Iterator[bytes]:
    """The bytes of a file, CHUNK at a time."""
    rest = bytearray()
    for data in content.chunks(CHUNK):
        rest += data.encode() if isinstance(data, str) else data
        while len(rest) >= CHUNK:
            yield bytes(rest[:CHUNK])
            del rest[:CHUNK]
    if rest:
        yield bytes(rest)


class Reader(io.RawIOBase):
    """A Blob's bytes. Raises OSError where they are there no more, or not all of them."""

    def __init__(self, blob: Blob, using: str) -> None:
        self.blob, self.using = blob, using
        self.position, self.number, self.chunk = 0, -1, memoryview(b"")

    def readable(self) -> bool:
        """As Python asks."""
        return True

    seekable = readable

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Read on elsewhere."""
        self.position = offset + (0, self.position, self.blob.size)[whence]
        return self.position

    def readinto(self, buffer: Any) -> int:
        """Up to the end of a chunk."""
        if self.position >= self.blob.size:
            return 0
        number, start = divmod(self.position, CHUNK)
        part = self.load(number)[start:start + len(buffer)]
        buffer[:len(part)] = part
        self.position += len(part)
        return len(part)

    def load(self, number: int) -> memoryview:
        """The chunk of that number; the last one asked for is kept."""
        if number != self.number:
            found = Chunk.objects.using(self.using).filter(blob=self.blob, number=number)
            data = found.values_list("data", flat=True).first()
            if data is None or len(data) != min(CHUNK, self.blob.size - number * CHUNK):
                raise OSError(f"{self.blob} was deleted or replaced while it was read, or is damaged")
            self.chunk, self.number = memoryview(data).cast("B"), number  # of psycopg2, one of chars
        return self.chunk


class StoredFile(File):  # type: ignore[type-arg]
    """A file that is open to be read, and can be opened again."""

    def __init__(self, blob: Blob, using: str, mode: str = "rb") -> None:
        self.blob, self.using = blob, using
        file: Any = io.BufferedReader(Reader(blob, using))
        super().__init__(file if "b" in mode else io.TextIOWrapper(file, "utf-8"), blob.name)
        self.mode = mode

    def open(self, mode: str | None = None, *_: Any, **__: Any) -> StoredFile:
        """From its beginning."""
        self.close()
        self.__init__(self.blob, self.using, mode or self.mode)  # type: ignore[misc]
        return self
