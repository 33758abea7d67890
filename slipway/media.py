"""URL patterns for uploads: put `*media()` into urlpatterns."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.conf.urls.static import static
from django.core.files.storage import FileSystemStorage, default_storage
from django.urls import re_path

from . import values


def media() -> list[Any]:
    """Return the URL patterns for uploads in the database or, in development, a folder; else nginx serves it."""
    path = re.escape(urlsplit(settings.MEDIA_URL or "").path.lstrip("/"))  # the path on this site
    if not path:  # without MEDIA_URL, a pattern would match every URL
        return []
    if place() == "database":
        from .files.views import serve

        return [re_path(f"^{path}(?P<name>.+)$", serve)]
    return static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT)  # [] unless DEBUG is on


def place() -> str:
    """Return where Django stores uploads, in the words of production.toml: local, database or bucket."""
    if values.apps(settings.STORAGES):
        return "database"
    return "local" if isinstance(default_storage, FileSystemStorage) else "bucket"
