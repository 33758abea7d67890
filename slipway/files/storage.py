"""Django's storage of files in the database."""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone as zones
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage
from django.db import IntegrityError, router, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils._os import safe_join
from django.utils.deconstruct import deconstructible
from django.utils.encoding import filepath_to_uri

from . import TooLarge
from .content import Reader, Target, Writer, remove
from .models import NAME, Blob
from .opened import StoredFile

LIMIT = 2_000_000_000  # bytes
TRIES = 10  # to be the only one who saves a file of that name


@deconstructible(path="slipway.files.storage.DatabaseStorage")
class DatabaseStorage(Storage):
    """Files are rows of Blob, found by their whole names: there are no folders. A file that is still in MEDIA_ROOT, as
    nobody has moved it yet, has its name, and is read and deleted there."""

    unmoved_too = True  # whether it looks there; who moves files from there asks only for those that are here

    def __init__(self, limit: int = LIMIT, allow_overwrite: bool = False, base_url: str | None = None) -> None:
        self.limit, self.allow_overwrite, self.own_url = limit, allow_overwrite, base_url

    @property
    def base_url(self) -> str:
        """Where files are served."""
        return (self.own_url or settings.MEDIA_URL or "").rstrip("/") + "/"

    @property
    def using(self) -> str:
        """The database; not one that may be behind it, as what was written is read at once."""
        return router.db_for_write(Blob)

    def blobs(self) -> QuerySet[Blob]:
        """All files that are whole."""
        return Blob.objects.using(self.using).filter(name__isnull=False)

    def find(self, name: str) -> Blob:
        """Raises FileNotFoundError."""
        blob = self.blobs().filter(name=clean(name)).first()
        if blob is None:
            raise FileNotFoundError(f"there is no {name}")
        return blob

    def unmoved(self, name: str) -> str | None:
        """The path of a file that is still in MEDIA_ROOT."""
        path = safe_join(settings.MEDIA_ROOT, clean(name)) if self.unmoved_too and settings.MEDIA_ROOT else ""
        return path if path and os.path.isfile(path) else None

    def found(self, name: str) -> Blob:
        """What is known of a file, here or there. Raises FileNotFoundError."""
        try:
            return self.find(name)
        except FileNotFoundError:
            if not (path := self.unmoved(name)):
                raise
            at = datetime.fromtimestamp(os.path.getmtime(path), zones.utc)
            return Blob(name=clean(name), size=os.path.getsize(path), modified=at)

    # ---- what Django asks ----

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        """A length is given by a FileField alone: the file is that field's."""
        saved: str = super().save(name, content, max_length=max_length)
        if max_length:
            self.blobs().filter(name=saved).update(owned=True)
        return saved

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """Not longer than the database takes."""
        return str(super().get_available_name(clean(name), max_length=min(max_length or NAME, NAME)))

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        """Whether nobody has it, or may keep it."""
        fits = len(name) <= (max_length or NAME)
        return fits and (self.allow_overwrite or not self.exists(name))

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return self.blobs().filter(name=clean(name)).exists() or self.unmoved(name) is not None

    def size(self, name: str) -> int:
        """In bytes."""
        return self.found(name).size

    def checksum(self, name: str) -> str:
        """SHA-256, in hex digits."""
        return self.find(name).sha256

    def get_modified_time(self, name: str) -> datetime:
        """As USE_TZ says: aware, or in the time zone of the settings."""
        at = self.found(name).modified
        return at if settings.USE_TZ or timezone.is_naive(at) else timezone.make_naive(at)

    get_created_time = get_modified_time  # content never changes

    def url(self, name: str | None) -> str:
        """Where it is served."""
        return urljoin(self.base_url, (filepath_to_uri(name) or "").lstrip("/"))

    def delete(self, name: str) -> None:
        """Nothing where there is none."""
        if not name:
            raise ValueError("The name must be given to delete().")
        with transaction.atomic(self.using):
            for blob in self.blobs().filter(name=clean(name)):
                remove(blob, self.using)
            if path := self.unmoved(name):
                transaction.on_commit(lambda: Path(path).unlink(missing_ok=True), self.using)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """The names below a path, up to the next slash: (those that go on, those of files)."""
        prefix = f"{clean(path)}/" if path.strip("./") else ""
        folders, files = set(), []
        for name in self.names(prefix):
            first, slash, _ = name[len(prefix):].partition("/")
            folders.add(first) if slash else files.append(first)
        return sorted(folders), files

    def names(self, prefix: str = "") -> Iterator[str]:
        """Of all files, or those that begin so; for SQLite that is, too, what differs in case."""
        found = self.blobs().filter(name__startswith=prefix).order_by("name").values_list("name", flat=True)
        return (name for name in found.iterator() if name and name.startswith(prefix))

    def _save(self, name: str, content: Any) -> str:
        with suppress(AttributeError, OSError):  # of what is read as it comes nobody knows it
            if content.size and content.size > self.limit:
                raise TooLarge(self.limit)
        writer = Writer(self.using, self.limit)
        try:
            for data in content.chunks():
                writer.write(data.encode() if isinstance(data, str) else data)
            return self.publish(writer, name, self.allow_overwrite)
        except BaseException:
            writer.discard()
            raise

    def _open(self, name: str, mode: str = "rb") -> StoredFile:
        return StoredFile(self, clean(name), mode)

    # ---- how ----

    def publish(self, writer: Writer, name: str, replace: bool) -> str:
        """All is written: give it the name, or another one where somebody else was quicker. Returns that."""
        root, end = posixpath.splitext(name)
        with transaction.atomic(self.using):
            blob = writer.finish()
            for number in range(TRIES):
                blob.name = name if replace or not number else clean(self.get_alternative_name(root, end))
                try:
                    with transaction.atomic(self.using):
                        if replace:
                            self.delete(name)
                        blob.save(using=self.using, force_update=True)
                    return blob.name
                except IntegrityError:
                    if number == TRIES - 1:
                        raise
        raise AssertionError

    def raw(self, name: str, mode: str) -> Any:
        """What Python's io makes of a file."""
        if mode not in ("r", "rb", "w", "wb"):
            raise ValueError(f"files in the database are opened to read or to write (r, rb, w, wb), not {mode!r}")
        if "r" in mode:
            blob = self.found(name)
            file: Any = (io.BufferedReader(Reader(blob, self.using)) if blob.pk
                         else open(safe_join(settings.MEDIA_ROOT, name), "rb"))
        else:
            file = io.BufferedWriter(Target(Writer(self.using, self.limit), lambda writer: self.end(writer, name)))
        return file if "b" in mode else io.TextIOWrapper(file, "utf-8")

    def end(self, writer: Writer, name: str) -> None:
        """A file that was opened to be written is closed: it takes the place of one that is there."""
        try:
            self.publish(writer, name, True)
        except BaseException:
            writer.discard()
            raise


def clean(name: str) -> str:
    """The name as it is kept. Raises SuspiciousFileOperation for one that would lead out of a folder, or that no
    database takes."""
    plain = posixpath.normpath(str(name).replace("\\", "/"))
    if plain.startswith(("/", "../")) or plain in (".", "..") or "\0" in plain:
        raise SuspiciousFileOperation(f"{name!r} is no name of a file in the database")
    return plain
