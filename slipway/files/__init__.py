"""Uploads and static files. With STORAGE_URL=database: this is an app, too, of files in the database: docs/files.md."""

from typing import Any

from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.storage import default_storage


class TooLarge(ValidationError, SuspiciousFileOperation):
    """A file is longer than the storage takes. A form shows it; elsewhere Django answers 400."""

    def __init__(self, limit: int) -> None:
        super().__init__("This file is too large: %(limit)s MB are the limit.", "too_large",
                         {"limit": f"{limit / 1_000_000:g}"})

    def __str__(self) -> str:
        return self.messages[0]


def small_enough(file: Any) -> None:
    """A validator for a FileField: raises TooLarge for what its storage would not take."""
    limit: int | None = getattr(getattr(file, "storage", default_storage), "limit", None)
    if limit is not None and file.size > limit:
        raise TooLarge(limit)
