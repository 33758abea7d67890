"""Uploads in a folder."""

import contextlib
import os
import secrets
from typing import Any

from django.core.files.storage import FileSystemStorage


class Folder(FileSystemStorage):
    """Stores files in a folder, each complete or not at all. Django's own storage leaves half a file on a full disk."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.allow_overwrite = kwargs.get("allow_overwrite", False)

    def _save(self, name: str, content: Any) -> str:
        part = os.path.join(os.path.dirname(name), f".{secrets.token_hex(8)}.part")
        try:
            super()._save(part, content)  # type: ignore[misc]  # missing in the stubs
            return self.named(self.path(part), name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(part))

    def named(self, part: str, name: str) -> str:
        """Rename the file `part` to `name`, or to a free name if `name` is taken. Return the new name."""
        while True:
            try:
                (os.replace if self.allow_overwrite else link)(part, self.path(name))
                return os.path.relpath(self.path(name), self.location).replace("\\", "/")
            except FileExistsError:
                name = self.get_available_name(name)


def link(source: str, target: str) -> None:
    """Link `source` as `target`; on a disk without hard links, rename it. Raise FileExistsError if `target` exists."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(source, target)
