"""What `manage.py check` says of files in the database."""

from typing import Any

from django.core import checks
from django.core.files.storage import default_storage
from django.urls import Resolver404, resolve

from ..media import path_of
from .storage import DatabaseStorage


@checks.register(checks.Tags.urls)
def served(**_: Any) -> list[checks.CheckMessage]:
    """Whether MEDIA_URL leads anywhere."""
    if not isinstance(default_storage, DatabaseStorage):
        return []
    if not (path := path_of(default_storage.base_url)):
        return [checks.Error("Files are in the database, and MEDIA_URL has no path: they would have all addresses.",
                             'Set one, as in MEDIA_URL = "media/".', id="slipway_blobs.E001")]
    try:
        resolve(f"/{path}a")
    except Resolver404:
        return [checks.Warning("Files are in the database, and nothing serves them at MEDIA_URL.",
                               "Add *media(), of slipway.media, to urlpatterns.", id="slipway_blobs.W001")]
    return []
