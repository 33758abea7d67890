"""The error pages, and the tags they are made with."""

import logging
import tempfile

from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import Client, SimpleTestCase, override_settings
from django.urls import path

from project.ops.templatetags import pages

ERRORS = {"400": SuspiciousOperation("x"), "403": PermissionDenied("x"), "500": ZeroDivisionError("x")}


def fail(request, code):
    raise ERRORS[code]


urlpatterns = [path("fail/<code>", fail), path("form", lambda request: HttpResponse("taken"))]


class ErrorPages(SimpleTestCase):
    """Of Django's test cases the one that refuses every query: an error page must not need the database."""

    client_class = Client

    def setUp(self):
        logging.disable(logging.ERROR)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.client.raise_request_exception = False

    def check_page(self, answer, code, words):
        self.assertEqual(answer.status_code, code)
        page = answer.content.decode()
        for part in [words, "site.css", settings.SITE_NAME, f"Error {code}", answer.headers["X-Request-ID"]]:
            self.assertIn(part, page)

    @override_settings(ROOT_URLCONF=__name__)
    def test_each_error_has_its_page(self):
        """400, 403, 404 and 500 have a page in the site's looks, which tells the request's id; no service is asked,
        not even for who brings a session."""
        self.client.cookies[settings.SESSION_COOKIE_NAME] = "k" * 32
        self.check_page(self.client.get("/fail/400"), 400, "makes no sense")
        self.check_page(self.client.get("/fail/403"), 403, "not for you")
        self.check_page(self.client.get("/nowhere"), 404, "no such page")
        self.check_page(self.client.get("/fail/500"), 500, "on our side")

    @override_settings(ROOT_URLCONF=__name__)
    def test_a_stale_form(self):
        """A form sent without its token gets a page that says what to do."""
        self.client.handler.enforce_csrf_checks = True
        self.check_page(self.client.post("/form"), 403, "gone stale")

    def test_another_host(self):
        """A request for a host that is not ours gets the 400 page."""
        self.check_page(self.client.get("/", headers={"host": "elsewhere.example"}), 400, "makes no sense")

    def test_without_request_and_manifest(self):
        """Error pages can be made with no request and although the static files' manifest is missing."""
        storage = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
        with tempfile.TemporaryDirectory() as folder, override_settings(
                STATIC_ROOT=folder, STORAGES={**settings.STORAGES, "staticfiles": {"BACKEND": storage}}):
            for name in ["400", "403", "403_csrf", "404", "429", "500"]:
                page = render_to_string(f"{name}.html")
                self.assertIn(f'href="{settings.STATIC_URL}site.css"', page)
                self.assertIn(settings.SITE_NAME, page)

    def test_assets_have_their_hashed_names(self):
        """Where the manifest knows a file, its hashed name is used, also on error pages."""
        with override_settings(STORAGES={**settings.STORAGES, "staticfiles": {"BACKEND": f"{__name__}.Hashed"}}):
            self.assertEqual(pages.asset("site.css"), "/hashed/site.css")


class Hashed:
    """A storage that knows every file."""

    def url(self, path):
        return f"/hashed/{path}"
