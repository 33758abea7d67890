"""Tests of the error pages, whose texts the team may change, and of their template tags."""

import logging
import tempfile
from typing import Any, NoReturn
from unittest import mock

from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.loader import render_to_string
from django.test import Client, RequestFactory, SimpleTestCase, override_settings
from django.urls import path

from slipway.templatetags import pages
from slipway.web.middleware import PermissionsPolicy

ERRORS = {"400": SuspiciousOperation("x"), "403": PermissionDenied("x"), "500": ZeroDivisionError("x")}


def fail(request: HttpRequest, code: str) -> NoReturn:
    raise ERRORS[code]


def show(request: HttpRequest, tag: str) -> HttpResponse:
    return HttpResponse(engines["django"].from_string("{% load pages %}{% " + tag + " %}").render({}, request))


urlpatterns = [path("fail/<code>", fail), path("form", lambda request: HttpResponse("taken")), path("show/<tag>", show)]


class ErrorPages(SimpleTestCase):
    """SimpleTestCase refuses all queries: an error page must not need the database."""

    client_class = Client

    def setUp(self) -> None:
        logging.disable(logging.ERROR)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.client.raise_request_exception = False

    def check_page(self, answer: Any, code: int, template: str) -> None:
        self.assertEqual(answer.status_code, code)
        self.assertTemplateUsed(answer, template)
        self.assertTrue(answer.headers["X-Request-ID"])

    @override_settings(ROOT_URLCONF=__name__)
    def test_each_error_has_its_page(self) -> None:
        """400, 403, 404, 500 and a form without its token have their own pages. These use no service, even if the
        visitor has a session. A page can show the request id of the logs."""
        answer = self.client.get("/show/request_id")
        self.assertEqual(answer.content.decode(), answer.headers["X-Request-ID"])
        self.client.cookies[settings.SESSION_COOKIE_NAME] = "k" * 32
        self.check_page(self.client.get("/fail/400"), 400, "400.html")
        self.check_page(self.client.get("/fail/403"), 403, "403.html")
        self.check_page(self.client.get("/nowhere"), 404, "404.html")
        self.check_page(self.client.get("/fail/500"), 500, "500.html")

        self.client.handler.enforce_csrf_checks = True
        self.check_page(self.client.post("/form"), 403, "403_csrf.html")

    def test_without_request_and_manifest(self) -> None:
        """Error pages render without a request, and without the static files' manifest."""
        storage = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
        with (
            tempfile.TemporaryDirectory() as folder,
            override_settings(STATIC_ROOT=folder, STORAGES={**settings.STORAGES, "staticfiles": {"BACKEND": storage}}),
        ):
            for name in ["400", "403", "403_csrf", "404", "429", "500"]:
                self.assertIn("<", render_to_string(f"{name}.html"))
            tags = engines["django"].from_string('{% load pages %}{% site_name %} {% asset "x.css" %}')
            self.assertEqual(tags.render(), f"{settings.SITE_NAME} {settings.STATIC_URL}x.css")
        with mock.patch.object(pages, "static", "/hashed/{}".format):
            self.assertEqual(pages.asset("x.css"), "/hashed/x.css")

    @override_settings(ROOT_URLCONF=__name__)
    def test_inline_script_and_style(self) -> None:
        """The policy allows what has the page's nonce; that of a page without one allows nothing."""
        answer = self.client.get("/show/nonce")
        policy = "default-src 'self' '{}'".format(answer.text.replace('nonce="', "nonce-").strip('"'))
        self.assertIn(policy, answer["Content-Security-Policy"])
        self.assertNotIn("nonce", self.client.get("/show/request_id")["Content-Security-Policy"])


class Headers(SimpleTestCase):
    def test_a_view_s_own_permissions_policy_stays(self) -> None:
        """Each other answer gets the site's."""
        name, own = "Permissions-Policy", "camera=(self)"
        for answer, sent in ((HttpResponse(), settings.PERMISSIONS_POLICY), (HttpResponse(headers={name: own}), own)):
            self.assertEqual(PermissionsPolicy(mock.Mock(return_value=answer))(RequestFactory().get("/"))[name], sent)
