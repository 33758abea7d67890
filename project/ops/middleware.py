"""What each request passes first."""

import time

from django.conf import settings
from django.http.request import split_domain_port
from django.shortcuts import render

from . import hashers, metrics, probes, request_id


class RequestId:
    """Takes the id that nginx gave the request, or makes one; the answer says it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        given = request_id.start(request.headers.get(request_id.HEADER, ""))
        response = self.get_response(request)
        response[request_id.HEADER] = given
        return response


class SitePort:
    """Gives each request the port of SITE_URL: any other is a visitor's invention, and would stand in links to here."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        name = split_domain_port(request.META.get("HTTP_HOST", ""))[0]
        if name:
            request.META["HTTP_HOST"] = name + settings.SITE_PORT
        return self.get_response(request)


class Probes:
    """Answers /healthz, /readyz, /metrics and /debug/vars before all else: for any Host, without redirect or session,
    and without being counted."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return probes.answer(request) or self.get_response(request)


class TooMany:
    """Answers who came with a password while too many others did: 429, so that no thread waits."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        if isinstance(exception, hashers.TooMany):
            response = render(request, "429.html", status=429)
            response["Retry-After"] = "5"
            return response
        return None


class Metrics:
    """Counts and times the requests."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        start = time.perf_counter()
        with metrics.IN_FLIGHT.track_inprogress():
            response = self.get_response(request)
        metrics.observe(request.method, response.status_code, time.perf_counter() - start)
        return response
