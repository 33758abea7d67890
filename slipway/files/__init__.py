"""Uploads and static files. This package is also a Django app for uploads in the database."""

from typing import Any

from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.storage import default_storage


class TooLarge(ValidationError, SuspiciousFileOperation):
    """The file exceeds the storage's limit. Forms show this error; elsewhere Django answers 400."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            "This file is too large: the limit is %(limit)s MB.", "too_large", {"limit": f"{limit / 1_000_000:g}"}
        )

    def __str__(self) -> str:
        return self.messages[0]


def small_enough(file: Any) -> None:
    """Raise TooLarge if a FileField's file is larger than its storage allows."""
    limit: int | None = getattr(getattr(file, "storage", default_storage), "limit", None)
    if limit is not None and file.size > limit:
        raise TooLarge(limit)
