"""Uploads in a folder: each is there as a whole, or not at all."""

import contextlib
import os
import secrets
from typing import Any

from django.core.files.storage import FileSystemStorage


class Folder(FileSystemStorage):
    """Django's writes a file under its name: visitors may get half of one, and where the disk is full that half
    stays."""

    def _save(self, name: str, content: Any) -> str:
        part = os.path.join(os.path.dirname(name), f".{secrets.token_hex(8)}.part")
        try:
            super()._save(part, content)  # type: ignore[misc]  # the stubs leave it out
            return self.named(self.path(part), name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(part))

    def named(self, part: str, name: str) -> str:
        """Give a whole file its name, or the next one that is free; that name."""
        while True:
            try:
                (os.replace if getattr(self, "_allow_overwrite") else link)(part, self.path(name))
                return os.path.relpath(self.path(name), self.location).replace("\\", "/")
            except FileExistsError:
                name = self.get_available_name(name)


def link(source: str, target: str) -> None:
    """One more name for a file. Raises FileExistsError. Where the file system knows no links, it takes the name of an
    empty one."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(source, target)
