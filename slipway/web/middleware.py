"""The site's middleware."""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.signals import got_request_exception
from django.db import IntegrityError
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase
from django.shortcuts import render

from ..health import metrics, probes
from ..logs import request_id
from ..security import hashers

logger = logging.getLogger(__name__)


@receiver(got_request_exception)
def note_error(request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None:  # a team may send the signal itself, for what no view has raised
        request.has_raised = True  # type: ignore[attr-defined]


def as_error(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Give the answer to a request whose view has raised the status of an error, even if handler500 chose another:
    metrics, proxies and a deploy's watch count errors by it."""
    if getattr(request, "has_raised", False) and response.status_code < 500:
        response.status_code = 500
    return response


class Middleware:
    """The base class: passes each request on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)


class RequestId(Middleware):
    """Takes the request's id from a header that nginx sets, or makes an id. Repeats this id in the response."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request_id.start(request.headers.get(request_id.HEADER, ""))
        response = self.get_response(request)
        response[request_id.HEADER] = given
        return response


class SitePort(Middleware):
    """Puts the port of SITE_URL into the request's Host header, because Django makes links with this header. Without
    the setting SITE_PORT, as in development, the header stays."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        port = getattr(settings, "SITE_PORT", None)
        name = split_domain_port(request.META.get("HTTP_HOST", ""))[0]
        if name and port is not None:
            request.META["HTTP_HOST"] = name + port
        return self.get_response(request)


class Probes(Middleware):
    """Answers /healthz, /readyz, /metrics, /debug/vars before most middleware: any Host, no redirect, no session."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return probes.answer(request) or as_error(request, self.get_response(request))


class PermissionsPolicy(Middleware):
    """Adds the header Permissions-Policy, which turns off unused browser features. A view's own header stays."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        return response


class TooMany(Middleware):
    """Answers 429 to who asks too often, or twice at once."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, hashers.TooMany) or sent_twice(request, exception):
            response = render(request, "429.html", status=429)
            response["Retry-After"] = "5"
            return response
        return None


def sent_twice(request: HttpRequest, exception: Exception) -> bool:
    """Return True if a form for accounts came twice at once, as by a double click: allauth looks first, then saves."""
    view = request.resolver_match.func.__module__ if request.resolver_match else ""
    twice = isinstance(exception, IntegrityError) and view.startswith("allauth.") and "unique" in str(exception).lower()
    if twice:
        logger.warning("twice at once: %s", request.path, exc_info=exception)
    return twice


class Metrics(Middleware):
    """Counts requests, and how long they took."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        start = time.perf_counter()
        with metrics.IN_FLIGHT.track_inprogress():
            response = as_error(request, self.get_response(request))
        metrics.observe(request.method, response.status_code, time.perf_counter() - start)
        return response
