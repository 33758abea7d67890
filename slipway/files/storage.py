"""A Django storage that keeps files in the database. It reads and writes chunks, so memory use stays low."""

from __future__ import annotations

import hashlib
import io
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import Storage
from django.db import IntegrityError, connections, router, transaction
from django.db.models import QuerySet
from django.utils.deconstruct import deconstructible
from django.utils.encoding import filepath_to_uri

from . import TooLarge
from .models import CHUNK, NAME, Blob, Chunk

LIMIT = 2_000_000_000  # bytes
TRIES = 10  # attempts to find a free name while other processes save files
INSERT = "INSERT INTO slipway_blobs_chunk (blob_id, number, data) VALUES (%s, %s, %s)"


@deconstructible(path="slipway.files.storage.DatabaseStorage")
class DatabaseStorage(Storage):
    """Stores each file as one Blob. Folders exist only as parts of file names."""

    def __init__(self, limit: int = LIMIT, allow_overwrite: bool = False) -> None:
        self.limit, self.allow_overwrite = limit, allow_overwrite

    @property
    def using(self) -> str:
        """The database for both writes and reads: a replica may lack a new file."""
        return router.db_for_write(Blob)

    def blobs(self, name: str) -> QuerySet[Blob]:
        return Blob.objects.using(self.using).filter(name=clean(name))

    def find(self, name: str) -> Blob:
        blob = self.blobs(name).first()
        if blob is None:
            raise FileNotFoundError(f"there is no {name}")
        return blob

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        name, most = clean(name), min(max_length or NAME, NAME)
        return name if self.allow_overwrite and len(name) <= most else str(super().get_available_name(name, most))

    def exists(self, name: str) -> bool:
        return self.blobs(name).exists()

    def size(self, name: str) -> int:
        return self.find(name).size

    def checksum(self, name: str) -> str:
        return self.find(name).sha256

    def get_modified_time(self, name: str) -> datetime:
        return self.find(name).modified

    def url(self, name: str | None) -> str:
        return str(urljoin(settings.MEDIA_URL, (filepath_to_uri(name) or "").lstrip("/")))

    def delete(self, name: str) -> None:
        """Delete the file if it exists. `defer` keeps Django from loading the data for receivers of delete signals."""
        blobs = self.blobs(name)
        with transaction.atomic(self.using):
            Chunk.objects.using(self.using).filter(blob__in=blobs).defer("data").delete()
            blobs.delete()

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        prefix = f"{clean(path)}/" if path.strip("./") else ""
        blobs = Blob.objects.using(self.using).filter(name__startswith=prefix).order_by("name")
        parts = [
            name[len(prefix) :].partition("/")
            for name in blobs.values_list("name", flat=True).iterator()
            if name and name.startswith(prefix)
        ]  # check again: SQLite's LIKE ignores case
        return sorted({name for name, slash, _ in parts if slash}), [name for name, slash, _ in parts if not slash]

    def _save(self, name: str, content: Any) -> str:
        connection, sha256, size = connections[self.using], hashlib.sha256(), 0
        with transaction.atomic(self.using):
            blob = Blob.objects.using(self.using).create()
            # A cursor without a query log: with DEBUG, Django's own cursor would keep every chunk in its log.
            with connection.make_cursor(connection.create_cursor()) as cursor:
                for number, data in enumerate(pieces(content)):
                    size += len(data)
                    if size > self.limit:
                        raise TooLarge(self.limit)
                    sha256.update(data)
                    cursor.execute(INSERT, [blob.pk, number, connection.Database.Binary(data)])  # type: ignore
            blob.size, blob.sha256 = size, sha256.hexdigest()
            return self.named(blob, name)

    def named(self, blob: Blob, name: str) -> str:
        """Name a file `name`, or choose a free name if `name` is taken and must not be overwritten. Return its name."""
        root, end = posixpath.splitext(name)
        for number in range(TRIES):
            blob.name = name if self.allow_overwrite or not number else clean(self.get_alternative_name(root, end))
            with suppress(IntegrityError), transaction.atomic(self.using):
                if self.allow_overwrite:
                    self.delete(name)
                blob.save(using=self.using, force_update=True)
                return blob.name
        raise FileExistsError(f"{name} was saved by too many processes at once")

    def _open(self, name: str, mode: str = "rb") -> StoredFile:
        return StoredFile(self.find(name), self.using, mode)


def clean(name: str) -> str:
    """Return the normalized name. Raise SuspiciousFileOperation if it is absolute, begins with .., or has a NUL."""
    plain = posixpath.normpath(str(name).replace("\\", "/"))
    if plain.startswith(("/", "../")) or plain in (".", "..") or "\0" in plain:
        raise SuspiciousFileOperation(f"{name!r} is not a valid name of a file in the database")
    return plain


def pieces(content: Any) -> Iterator[bytes]:
    rest = bytearray()
    for data in content.chunks(CHUNK):
        rest += data.encode() if isinstance(data, str) else data
        while len(rest) >= CHUNK:
            yield bytes(rest[:CHUNK])
            del rest[:CHUNK]
    if rest:
        yield bytes(rest)


class Reader(io.RawIOBase):
    """Reads a Blob's bytes. Raises OSError if some are missing."""

    def __init__(self, blob: Blob, using: str) -> None:
        self.blob, self.using = blob, using
        self.position, self.number, self.chunk = 0, -1, memoryview(b"")

    def readable(self) -> bool:
        return True

    seekable = readable

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + (0, self.position, self.blob.size)[whence]
        return self.position

    def readinto(self, buffer: Any) -> int:
        """Read at most to the end of one chunk, and keep that chunk for the next call. Return the number of bytes."""
        number, start = divmod(self.position, CHUNK)
        if self.position < self.blob.size and number != self.number:
            self.chunk, self.number = self.load(number), number
        part = self.chunk[start : start + len(buffer)] if self.position < self.blob.size else b""
        buffer[: len(part)] = part
        self.position += len(part)
        return len(part)

    def load(self, number: int) -> memoryview:
        data = Chunk.objects.using(self.using).filter(blob=self.blob, number=number).values_list("data", flat=True)[:1]
        if not data or len(data[0]) != min(CHUNK, self.blob.size - number * CHUNK):
            raise OSError(f"{self.blob.name} was deleted or replaced while it was read, or is damaged")
        return memoryview(data[0]).cast("B")  # psycopg2 returns a memoryview of chars, not of bytes


class StoredFile(File):  # type: ignore[type-arg]
    """A file in the database, open for reading."""

    def __init__(self, blob: Blob, using: str, mode: str = "rb") -> None:
        self.blob, self.using = blob, using
        file: Any = io.BufferedReader(Reader(blob, using))
        super().__init__(file if "b" in mode else io.TextIOWrapper(file, "utf-8"), blob.name)
        self.mode = mode

    def open(self, mode: str | None = None, *_: Any, **__: Any) -> StoredFile:
        self.close()
        self.__init__(self.blob, self.using, mode or self.mode)  # type: ignore[misc]
        return self
