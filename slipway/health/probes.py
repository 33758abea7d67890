"""The probes /healthz, /readyz, /metrics and /debug/vars: see docs/operations.md. Requests from outside need
METRICS_TOKEN for /metrics and /debug/vars."""

import hmac
import logging
import re
import socket
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseNotFound, JsonResponse

from .. import readiness
from ..release import RELEASE

access_log = logging.getLogger("gunicorn.access")
errors = logging.getLogger("django.request")
# Headers that proxies add. A request with one of them, even empty, came through a proxy.
FORWARDING = re.compile(
    r"HTTP_(.*(FORWARD|IP$|ADDR|ENVOY|CLUSTER|PROXYUSER)|VIA$|CF_|CDN_LOOP|X_(ORIGINAL|REMOTE|HOST|SCHEME|PROXY))"
    r"|PROXY_"
)

LOCAL = ("localhost", "127.0.0.1", "[::1]")  # as DEBUG allows by itself


def is_news(record: logging.LogRecord) -> bool:
    """Return False for Django's error that a probe answered 503: readiness.py already logs when a part goes down."""
    path = getattr(getattr(record, "request", None), "path_info", "")
    return path not in PATHS or getattr(record, "status_code", 0) != 503


errors.addFilter(is_news)


def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"release": RELEASE, "alive": True})


def readyz(request: HttpRequest) -> HttpResponse:
    parts = readiness.ask(beat="beat" in request.GET)
    ready = all(part["state"] == "ok" for part in parts.values())
    return JsonResponse({"release": RELEASE, "ready": ready, "parts": parts}, status=200 if ready else 503)


def figures(request: HttpRequest) -> HttpResponse:
    from . import metrics  # not at the top: it needs the folder that gunicorn.py makes

    if request.path_info == "/metrics":
        return HttpResponse(metrics.page(), content_type="text/plain; version=0.0.4; charset=utf-8")
    return JsonResponse(metrics.variables(), json_dumps_params={"indent": 1})


OPEN = {"/healthz": healthz, "/readyz": readyz}
PATHS = {**OPEN, "/metrics": figures, "/debug/vars": figures}


def answer(request: HttpRequest) -> HttpResponse | None:
    view = PATHS.get(request.path_info)
    if view is None:
        return None
    if request.path_info not in OPEN and not may_see(request):
        response: HttpResponse = HttpResponseNotFound("not found\n", content_type="text/plain")
    elif request.method not in ("GET", "HEAD"):
        response = HttpResponseNotAllowed(["GET", "HEAD"])
    else:
        response = view(request)
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Length"] = str(len(response.content))
    return response


def log_request(method: str, path: str, status: int, seconds: float, **fields: Any) -> None:
    """Log a request without its query, which may hold secrets. Log no probe that answered 200 or 503."""
    if path not in PATHS or status not in (200, 503):
        ms = round(seconds * 1000, 1)
        access_log.info(
            "%s %s %d in %s ms",
            method,
            path,
            status,
            ms,
            extra={"method": method, "path": path, "status": status, "ms": ms, **fields},
        )


def may_see(request: HttpRequest) -> bool:
    """Return True if the request has METRICS_TOKEN, or no proxy's headers and came over the unix socket, or with DEBUG
    from this machine."""
    passed_on = any(FORWARDING.match(name) for name in request.META)
    return has_token(request) or (not passed_on and (over_unix_socket(request) or from_developer(request)))


def from_developer(request: HttpRequest) -> bool:
    """Return True with DEBUG, if this machine asks by its own name: a page elsewhere may name any host as 127.0.0.1."""
    host = re.sub(r":\d*$", "", request.META.get("HTTP_HOST", ""))
    return bool(settings.DEBUG) and host in LOCAL and request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1")


def has_token(request: HttpRequest) -> bool:
    token = getattr(settings, "METRICS_TOKEN", "") or ""
    kind, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return bool(token) and kind.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())


def over_unix_socket(request: HttpRequest) -> bool:
    """Return True if the server received the request over a unix socket. Headers cannot forge this."""
    if isinstance(request, ASGIRequest):
        path, port = request.scope.get("server") or ("", 0)
        return bool(path) and port is None
    return getattr(request.META.get("gunicorn.socket"), "family", None) == socket.AF_UNIX
