"""What files consist of: written and read chunk by chunk, by short queries, so that memory does not grow with files and
no transaction is open for longer than a few chunks take."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import Error, connections, transaction
from django.db.models import QuerySet

from . import Damaged, Gone, TooLarge
from .models import CHUNK, Blob, Chunk

AT_ONCE = 4  # chunks that are written in one transaction
INSERT = "INSERT INTO slipway_blobs_chunk (blob_id, number, data) VALUES (%s, %s, %s)"


class Writer:
    """Takes bytes, and keeps them as those of a Blob that nobody sees, as it has no name yet."""

    def __init__(self, using: str, limit: int) -> None:
        self.using, self.limit = using, limit
        self.token = secrets.token_hex(32)  # in the place of its checksum, which is not known yet
        self.blob = Blob(sha256=self.token)
        self.sha256, self.size, self.number, self.rest = hashlib.sha256(), 0, 0, bytearray()

    def mine(self) -> QuerySet[Blob]:
        """Its row, if it is there: where a transaction was rolled back it is not, and SQLite may have given its number
        to somebody else's."""
        return Blob.objects.using(self.using).filter(pk=self.blob.pk, sha256=self.token, name=None)

    def write(self, data: bytes | memoryview) -> None:
        """Take more of it. Raises TooLarge."""
        self.size += len(data)
        if self.size > self.limit:
            raise TooLarge(self.limit)
        self.sha256.update(data)
        self.rest += data
        if len(self.rest) >= AT_ONCE * CHUNK:
            self.keep(len(self.rest) // CHUNK * CHUNK)

    def keep(self, size: int) -> None:
        """Insert so many of the bytes that were taken. Raises Gone."""
        connection: Any = connections[self.using]
        binary = connection.Database.Binary
        with transaction.atomic(self.using, savepoint=False):
            if self.blob.pk is None:
                self.blob.save(using=self.using)
            elif not self.mine().exists():
                raise Gone("what was written of a file was rolled back")
            # Where DEBUG is on Django's own cursor would remember every chunk.
            with connection.make_cursor(connection.create_cursor()) as cursor:
                for start in range(0, size, CHUNK):
                    data = bytes(self.rest[start:min(start + CHUNK, size)])
                    cursor.execute(INSERT, [self.blob.pk, self.number, binary(data)])
                    self.number += 1
        del self.rest[:size]

    def finish(self) -> Blob:
        """All bytes are there: keep the last ones. Returns the Blob, to be saved with what they sum up to."""
        self.keep(len(self.rest))
        self.blob.size, self.blob.sha256 = self.size, self.sha256.hexdigest()
        return self.blob

    def discard(self) -> None:
        """Leave nothing of it. In a transaction that an error has broken nothing can be done, nor need be."""
        with suppress(Error):
            if self.blob.pk is not None and self.mine().exists():
                remove(self.blob, self.using)


def remove(blob: Blob, using: str) -> None:
    """Delete a file. Whoever listens to the deletion of rows shall not have the content read for it."""
    with transaction.atomic(using):
        Chunk.objects.using(using).filter(blob=blob).defer("data").delete()
        Blob.objects.using(using).filter(pk=blob.pk).delete()


class Reader(io.RawIOBase):
    """A Blob's bytes. Raises Damaged in place of the last ones, where all were read in a row and are not those that
    were written; Gone where they are there no more."""

    def __init__(self, blob: Blob, using: str) -> None:
        self.blob, self.using = blob, using
        self.position, self.number, self.chunk = 0, -1, memoryview(b"")
        self.sha256, self.hashed = hashlib.sha256(), 0

    def readable(self) -> bool:
        """As Python asks."""
        return True

    def seekable(self) -> bool:
        """As Python asks."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Read on elsewhere."""
        position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.blob.size}[whence]
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self.position = position
        return position

    def readinto(self, buffer: Any) -> int:
        """Up to the end of a chunk."""
        if self.position >= self.blob.size:
            return 0
        start = self.position % CHUNK
        part = self.load(self.position // CHUNK)[start:start + len(buffer)]
        buffer[:len(part)] = part
        self.check(part)
        self.position += len(part)
        return len(part)

    def load(self, number: int) -> memoryview:
        """The chunk of that number; the last one asked for is kept."""
        if number != self.number:
            found = Chunk.objects.using(self.using).filter(blob=self.blob, number=number)
            data = found.values_list("data", flat=True).first()
            if data is None:
                there = Blob.objects.using(self.using).filter(pk=self.blob.pk).exists()
                raise self.damaged() if there else Gone(f"{self.blob} was deleted or replaced while it was read")
            self.chunk, self.number = memoryview(data).cast("B"), number  # of psycopg2, one of chars
            if len(data) != min(CHUNK, self.blob.size - number * CHUNK):
                raise self.damaged()
        return self.chunk

    def check(self, part: memoryview) -> None:
        """Add a part to the checksum where it goes on from those before, and compare at the end."""
        if self.position == self.hashed:
            self.sha256.update(part)
            self.hashed += len(part)
            if self.hashed == self.blob.size and self.sha256.hexdigest() != self.blob.sha256:
                raise self.damaged()

    def damaged(self) -> Damaged:
        """The error."""
        return Damaged(f"{self.blob} is damaged: the database does not have what was saved")


class Target(io.RawIOBase):
    """A file that is opened to be written: it is there, under its name, once it is closed."""

    def __init__(self, writer: Writer, publish: Callable[[Writer], object]) -> None:
        self.writer, self.publish = writer, publish

    def writable(self) -> bool:
        """As Python asks."""
        return True

    def tell(self) -> int:
        """How much is written."""
        return self.writer.size

    def write(self, data: Any) -> int:
        """Take more of it."""
        try:
            self.writer.write(data)
        except BaseException:
            self.give_up()
            raise
        return len(data)

    def close(self) -> None:
        """Give it its name."""
        if not self.closed:
            super().close()
            self.publish(self.writer)

    def give_up(self) -> None:
        """Nothing of it stays."""
        self.forget()
        self.writer.discard()

    def forget(self) -> None:
        """Close it without a name."""
        super().close()
