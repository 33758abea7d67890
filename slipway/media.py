"""Who serves uploads at MEDIA_URL: `*media()` in a project's urlpatterns."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.conf.urls.static import static
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.urls import re_path


def media() -> list[Any]:
    """The app, where they are in the database; in development Django, where they are in a folder. Else nobody here: a
    server's nginx asks for what it does not have, and is told so before a page for all other addresses gets to see it.
    """
    url = urlsplit(settings.MEDIA_URL or "")
    path = re.escape(url.path.lstrip("/"))  # on this site; without any they would have its addresses
    if apps.is_installed("slipway.files"):
        from .files.storage import DatabaseStorage
        from .files.views import serve
        if isinstance(default_storage, DatabaseStorage):
            return [re_path(f"^{path}(?P<name>.+)$", serve)] if path else []
    if settings.DEBUG:
        return static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT)
    return [re_path(f"^{path}", absent)] if path and not url.netloc else []


def absent(_: HttpRequest) -> HttpResponse:
    """There is no such file. No template is made for it, nor a session looked at."""
    return HttpResponse("There is no such file.", "text/plain", 404)
