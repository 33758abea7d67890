"""Django's storage of files in the database."""

from __future__ import annotations

import hashlib
import posixpath
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage
from django.db import IntegrityError, connections, router, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.deconstruct import deconstructible
from django.utils.encoding import filepath_to_uri

from . import TooLarge
from .content import StoredFile, pieces
from .models import NAME, Blob, Chunk

LIMIT = 2_000_000_000  # bytes
TRIES = 10  # to be the only one who saves a file of that name
INSERT = "INSERT INTO slipway_blobs_chunk (blob_id, number, data) VALUES (%s, %s, %s)"


@deconstructible(path="slipway.files.storage.DatabaseStorage")
class DatabaseStorage(Storage):
    """Files are rows of Blob, found by their whole names: there are no folders."""

    def __init__(self, limit: int = LIMIT, allow_overwrite: bool = False) -> None:
        self.limit, self.allow_overwrite = limit, allow_overwrite

    @property
    def base_url(self) -> str:
        """Where files are served."""
        return (settings.MEDIA_URL or "").rstrip("/") + "/"

    @property
    def using(self) -> str:
        """The database; not one that may be behind it, as what was written is read at once."""
        return router.db_for_write(Blob)

    def blobs(self) -> QuerySet[Blob]:
        """All, also those without a name, as a killed save of an older release has left them."""
        return Blob.objects.using(self.using)

    def find(self, name: str) -> Blob:
        """Raises FileNotFoundError."""
        blob = self.blobs().filter(name=clean(name)).first()
        if blob is None:
            raise FileNotFoundError(f"there is no {name}")
        return blob

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        """A length is given by a FileField alone: the file is that field's."""
        saved: str = super().save(name, content, max_length=max_length)
        if max_length:
            self.blobs().filter(name=saved).update(owned=True)
        return saved

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """One that nobody has, or that may be taken over; not longer than the database takes."""
        name, most = clean(name), min(max_length or NAME, NAME)
        return name if self.allow_overwrite and len(name) <= most else str(super().get_available_name(name, most))

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return self.blobs().filter(name=clean(name)).exists()

    def size(self, name: str) -> int:
        """In bytes."""
        return self.find(name).size

    def checksum(self, name: str) -> str:
        """SHA-256, in hex digits."""
        return self.find(name).sha256

    def get_modified_time(self, name: str) -> datetime:
        """As USE_TZ says: aware, or in the time zone of the settings."""
        at = self.find(name).modified
        return at if settings.USE_TZ or timezone.is_naive(at) else timezone.make_naive(at)

    get_created_time = get_modified_time  # content never changes

    def url(self, name: str | None) -> str:
        """Where it is served."""
        return urljoin(self.base_url, (filepath_to_uri(name) or "").lstrip("/"))

    def delete(self, name: str) -> None:
        """Nothing where there is none."""
        if not name:
            raise ValueError("The name must be given to delete().")
        for blob in self.blobs().filter(name=clean(name)):
            remove(blob, self.using)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """The names below a path, up to the next slash: (those that go on, those of files)."""
        prefix = f"{clean(path)}/" if path.strip("./") else ""
        names = self.blobs().filter(name__startswith=prefix).order_by("name").values_list("name", flat=True)
        found = [name[len(prefix):].partition("/") for name in names.iterator()  # of SQLite also what differs in case
                 if name and name.startswith(prefix)]
        return sorted({name for name, slash, _ in found if slash}), [name for name, slash, _ in found if not slash]

    def _save(self, name: str, content: Any) -> str:
        connection, sha256, size = connections[self.using], hashlib.sha256(), 0
        with transaction.atomic(self.using):
            blob = Blob.objects.using(self.using).create()
            # Where DEBUG is on Django's own cursor would remember every chunk.
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
        """Give a file its name, or another one where somebody else was quicker: that."""
        root, end = posixpath.splitext(name)
        for number in range(TRIES):
            blob.name = name if self.allow_overwrite or not number else clean(self.get_alternative_name(root, end))
            with suppress(IntegrityError), transaction.atomic(self.using):
                if self.allow_overwrite:
                    self.delete(name)
                blob.save(using=self.using, force_update=True)
                return blob.name
        raise FileExistsError(f"{name} was saved by too many at the same moment")

    def _open(self, name: str, mode: str = "rb") -> StoredFile:
        if mode not in ("r", "rb"):
            raise ValueError(f"files in the database are opened to be read (r, rb), not {mode!r}: save() writes them")
        return StoredFile(self.find(name), self.using, mode)


def remove(blob: Blob, using: str) -> None:
    """Delete a file. Whoever listens to the deletion of rows shall not have the content read for it."""
    with transaction.atomic(using):
        Chunk.objects.using(using).filter(blob=blob).defer("data").delete()
        Blob.objects.using(using).filter(pk=blob.pk).delete()


def clean(name: str) -> str:
    """The name as it is kept. Raises SuspiciousFileOperation for one that would lead out of a folder, or that no
    database takes."""
    plain = posixpath.normpath(str(name).replace("\\", "/"))
    if plain.startswith(("/", "../")) or plain in (".", "..") or "\0" in plain:
        raise SuspiciousFileOperation(f"{name!r} is no name of a file in the database")
    return plain
