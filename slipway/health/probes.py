"""What machines ask: /healthz, /readyz, /metrics and /debug/vars. docs/operations.md says what each answers."""

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseNotFound, JsonResponse

from .. import readiness
from ..release import RELEASE
from . import figures, metrics_access


def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives and takes requests; nothing else is asked."""
    return JsonResponse({"release": RELEASE, "alive": True})


def readyz(request: HttpRequest) -> HttpResponse:
    """Whether the release is ready for visitors, and how each part is."""
    parts = readiness.ask(beat="beat" in request.GET)
    ready = all(part["state"] == "ok" for part in parts.values())
    return JsonResponse({"release": RELEASE, "ready": ready, "parts": parts}, status=200 if ready else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    """The figures for Prometheus."""
    from . import metrics
    return HttpResponse(metrics.page(), content_type="text/plain; version=0.0.4; charset=utf-8")


def debug_vars(request: HttpRequest) -> HttpResponse:
    """The figures as JSON."""
    from . import metrics
    return JsonResponse({**metrics.variables(), "celery": figures.celery()}, json_dumps_params={"indent": 1})


OPEN = {"/healthz": healthz, "/readyz": readyz}
GUARDED = {"/metrics": metrics, "/debug/vars": debug_vars}
PATHS = {**OPEN, **GUARDED}


def answer(request: HttpRequest) -> HttpResponse | None:
    """The answer to a probe, or None where the request is none."""
    view = PATHS.get(request.path_info)
    if view is None:
        return None
    if request.path_info in GUARDED and not metrics_access.may_see(request):
        return closed(HttpResponseNotFound("not found\n", content_type="text/plain"))
    if request.method not in ("GET", "HEAD"):
        return closed(HttpResponseNotAllowed(["GET", "HEAD"]))
    return closed(view(request))


def closed(response: HttpResponse) -> HttpResponse:
    """What every answer to a probe has: it is not kept."""
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Length"] = str(len(response.content))
    # Django's mark: what changes is logged once, not each time that somebody asks.
    setattr(response, "_has_been_logged", True)
    return response
