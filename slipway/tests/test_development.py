"""Tests of the page of mails, which a site has in development alone, and of robots.txt and favicon.ico."""

import re
from tempfile import TemporaryDirectory
from unittest import mock

from django.core.mail import send_mail
from django.test import SimpleTestCase, override_settings

from slipway import pages

with mock.patch("django.conf.settings.DEBUG", True):
    urlpatterns = pages.pages()


class Pages(SimpleTestCase):
    @override_settings(ROOT_URLCONF=__name__, EMAIL_BACKEND="slipway.web.mail.Kept")
    def test_mails(self) -> None:
        """A mail is listed with its text, its HTML, which runs no script, and its source."""
        with TemporaryDirectory() as folder, self.settings(EMAIL_FILE_PATH=f"{folder}/mail"):
            with self.assertLogs("slipway.web.mail", "INFO"):
                send_mail("<b>Größe", "Guten Tag, Ä", None, ["ann@shop.example"], html_message="<script>1</script>")
            self.assertContains(listed := self.client.get("/mail/"), "&lt;b&gt;Größe")
            text, html, source = (self.client.get(url) for url in re.findall('"(/mail/.*?)"', listed.text))
            self.assertEqual(self.client.get("/mail/7/text/").status_code, 404)
        self.assertContains(text, "Guten Tag, Ä")
        self.assertContains(source, "multipart/alternative")
        self.assertEqual(
            [part["Content-Type"][:10] for part in (text, html, source)], ["text/plain", "text/html;", "text/plain"]
        )
        self.assertTrue(html.streaming and html["Content-Security-Policy"].startswith("sandbox; default-src 'none'"))

    def test_of_each_site(self) -> None:
        """robots.txt and favicon.ico are there, but no page of development."""
        answer = self.client.get("/robots.txt")
        self.assertEqual((answer.content, answer["Content-Type"]), (b"User-agent: *\nDisallow:\n", "text/plain"))
        self.assertRedirects(self.client.get("/favicon.ico"), "/static/favicon.svg", fetch_redirect_response=False)
        self.assertEqual(self.client.get("/mail/").status_code, 404)
