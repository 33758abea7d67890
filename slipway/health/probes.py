"""What machines ask: /healthz, /readyz, /metrics and /debug/vars. docs/operations.md says what each answers, and who
may see the last two: nobody from outside, whatever the request says of itself."""

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
# What proxies add to a request that they pass on. Its presence is enough, even empty.
FORWARDING = re.compile(
    r"HTTP_(.*(FORWARD|IP$|ADDR|ENVOY|CLUSTER|PROXYUSER)|VIA$|CF_|CDN_LOOP|X_(ORIGINAL|REMOTE|HOST|SCHEME|PROXY))"
    r"|PROXY_")


def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives and takes requests; nothing else is asked."""
    return JsonResponse({"release": RELEASE, "alive": True})


def readyz(request: HttpRequest) -> HttpResponse:
    """Whether the release is ready for visitors, and how each part is."""
    parts = readiness.ask(beat="beat" in request.GET)
    ready = all(part["state"] == "ok" for part in parts.values())
    return JsonResponse({"release": RELEASE, "ready": ready, "parts": parts}, status=200 if ready else 503)


def figures(request: HttpRequest) -> HttpResponse:
    """For Prometheus, or as JSON."""
    from . import metrics  # it needs the folder that gunicorn makes
    if request.path_info == "/metrics":
        return HttpResponse(metrics.page(), content_type="text/plain; version=0.0.4; charset=utf-8")
    return JsonResponse(metrics.variables(), json_dumps_params={"indent": 1})


OPEN = {"/healthz": healthz, "/readyz": readyz}
PATHS = {**OPEN, "/metrics": figures, "/debug/vars": figures}


def answer(request: HttpRequest) -> HttpResponse | None:
    """The answer to a probe, or None where the request is none."""
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
    # Django's mark: what changes is logged once, not each time that somebody asks.
    setattr(response, "_has_been_logged", True)
    return response


def answered(method: str, path: str, status: int, seconds: float, **more: Any) -> None:
    """A line of the access log for each request, but for probes that were answered: what changes is logged elsewhere.
    A path is told without its query, which may hold secrets."""
    if path not in PATHS or status not in (200, 503):
        ms = round(seconds * 1000, 1)
        access_log.info("%s %s %d in %s ms", method, path, status, ms,
                        extra={"method": method, "path": path, "status": status, "ms": ms, **more})


def may_see(request: HttpRequest) -> bool:
    """True for a request with the token, or one that certainly came from this machine and no proxy passed on."""
    passed_on = any(FORWARDING.match(name) for name in request.META)
    return has_token(request) or (over_unix_socket(request) and not passed_on)


def has_token(request: HttpRequest) -> bool:
    token = getattr(settings, "METRICS_TOKEN", "") or ""
    kind, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return bool(token) and kind.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())


def over_unix_socket(request: HttpRequest) -> bool:
    """gunicorn's own word on its connection, or uvicorn's (a path without a port), which no header can forge."""
    if isinstance(request, ASGIRequest):
        path, port = request.scope.get("server") or ("", 0)
        return bool(path) and port is None
    return getattr(request.META.get("gunicorn.socket"), "family", None) == socket.AF_UNIX
