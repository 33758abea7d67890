"""A file of the database that is open, as Django's code and a project's have it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from django.core.files import File
from django.db.models.fields.files import FieldFile

from .content import Target

if TYPE_CHECKING:
    from .storage import DatabaseStorage


class StoredFile(File):  # type: ignore[type-arg]
    """A file that is open."""

    def __init__(self, storage: DatabaseStorage, name: str, mode: str) -> None:
        self.storage = storage
        super().__init__(storage.raw(name, mode), name)
        self.mode = mode
        if "r" in mode:
            self.size = storage.size(name)

    def open(self, mode: str | None = None, *_: Any, **__: Any) -> StoredFile:
        """Again from its beginning."""
        if self.closed or mode not in (None, self.mode):
            self.close()
            self.__init__(self.storage, self.name or "", mode or self.mode)  # type: ignore[misc]
        else:
            self.seek(0)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """What an error breaks off takes no other's place."""
        if kind and (target := self.target()):
            target.give_up()
        self.close()

    def __del__(self) -> None:
        """Nor does what nobody has closed. Python chooses the moment, so that no query is made: the sweep has the rest.
        """
        if (target := self.target()) and not target.closed:
            target.forget()
            warnings.warn(f"{self.name} was not closed, and is not saved", ResourceWarning, source=self)

    def target(self) -> Target | None:
        """Where it is written to."""
        file = getattr(self, "file", None)
        raw = getattr(getattr(file, "buffer", file), "raw", None)  # of text, of bytes
        return raw if isinstance(raw, Target) else None


def leave(field: FieldFile, kind: type[BaseException] | None, *more: Any) -> None:
    """The end of a `with` over a row's file, of any storage. Django closes the file without a word of an error."""
    if isinstance(file := getattr(field, "_file", None), StoredFile):
        file.__exit__(kind, *more)
    field.close()
