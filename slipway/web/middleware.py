"""What each request passes first."""

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase
from django.shortcuts import render

from ..health import metrics, probes
from ..logs import request_id
from ..security import hashers


class Middleware:
    """Passes a request on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)


class RequestId(Middleware):
    """Takes the id that nginx gave the request, or makes one; the answer says it."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request_id.start(request.headers.get(request_id.HEADER, ""))
        response = self.get_response(request)
        response[request_id.HEADER] = given
        return response


class SitePort(Middleware):
    """Gives each request the port of SITE_URL: any other is a visitor's invention, and would stand in links to here."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        name = split_domain_port(request.META.get("HTTP_HOST", ""))[0]
        if name:
            request.META["HTTP_HOST"] = name + settings.SITE_PORT
        return self.get_response(request)


class Probes(Middleware):
    """Answers /healthz, /readyz, /metrics and /debug/vars before all else: for any Host, without redirect or session,
    and without being counted."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return probes.answer(request) or self.get_response(request)


class PermissionsPolicy(Middleware):
    """Takes from pages, and from what they embed, what the site makes no use of. A view's own header stays."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        return response


class TooMany(Middleware):
    """Answers who came with a password while too many others did: 429, so that no thread waits."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The answer to TooMany; None to anything else."""
        if isinstance(exception, hashers.TooMany):
            response = render(request, "429.html", status=429)
            response["Retry-After"] = "5"
            return response
        return None


class Metrics(Middleware):
    """Counts and times the requests."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        start = time.perf_counter()
        with metrics.IN_FLIGHT.track_inprogress():
            response = self.get_response(request)
        metrics.observe(request.method, response.status_code, time.perf_counter() - start)
        return response
