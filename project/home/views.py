"""The start page of a new project: replace it, or delete this folder and its lines in settings_base.py and urls.py.
Developers and staff see the state of the site's parts: database, cache, worker and so on."""

import platform
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from slipway.health.parts import parts
from slipway.health.time_limit import within

PATIENCE = 2  # seconds to find out who the visitor is


def home(request: HttpRequest) -> HttpResponse:
    if not may_look(request):
        return render(request, "home/welcome.html")
    found = parts()
    down, off = ([part.name for part in found if part.state == state] for state in ("down", "off"))
    state = "down" if down else "off" if off else "up"
    seen = {"parts": found, "down": down, "off": off, "state": state, "up": len(found) - len(off)}
    runs = {"release": settings.RELEASE, "django": django.get_version(), "python": platform.python_version()}
    response = render(request, "home/home.html", {**seen, **runs, "development": settings.DEBUG})
    add_never_cache_headers(response)
    return response


def may_look(request: HttpRequest) -> bool:
    """Return True if the visitor may see the state of the site's parts: anyone in development, staff in production.
    In production return False without a session cookie, or if the database does not answer."""
    if settings.DEBUG:
        return True
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return False
    user: Any = request.user  # lazy: the next lines ask the database
    try:
        return within(PATIENCE, lambda: bool(user.is_active and user.is_staff))
    except Exception:
        return False
