"""The page of a new project: replace it, or delete this folder and its lines in settings_shared.py and urls.py.

In development and to staff it tells what is running. Everybody else gets a page that touches no service.
"""

import platform
from typing import Any

import django
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from .parts import parts
from .time_limit import within

PATIENCE = 2  # seconds to find out who somebody is


def home(request: HttpRequest) -> HttpResponse:
    """The page."""
    if not may_look(request):
        return render(request, "home/welcome.html")
    return live(request, "home/home.html")


def running(request: HttpRequest) -> HttpResponse:
    """The section that the page's script asks for every few seconds."""
    if not may_look(request):
        raise Http404
    return live(request, "home/running.html")


def may_look(request: HttpRequest) -> bool:
    """Whether the visitor may see what is running. Asks the database only for who brings a session, and not for
    long: while it is down, all are visitors."""
    if settings.DEBUG:
        return True
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return False
    user: Any = request.user  # which asks the database when it is asked, not now
    try:
        return within(PATIENCE, lambda: bool(user.is_active and user.is_staff))
    except Exception:
        return False


def live(request: HttpRequest, template: str) -> HttpResponse:
    """The template with what is running now, for nobody to keep."""
    found = parts()
    down, off = ([part.name for part in found if part.state == state] for state in ("down", "off"))
    response = render(request, template, {
        "parts": found, "down": down, "off": off, "state": "down" if down else "off" if off else "up",
        "up": len(found) - len(off), "development": settings.DEBUG,
        "release": settings.RELEASE, "django": django.get_version(), "python": platform.python_version(),
    })
    add_never_cache_headers(response)
    return response
