"""URL patterns of pages that each site has: put `*pages()` into urlpatterns."""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.views.generic import TemplateView

from .templatetags.pages import asset
from .web import mail


def pages() -> list[Any]:
    """Return the URL patterns of robots.txt and favicon.ico; in development also of mails and django-debug-toolbar."""
    robots = TemplateView.as_view(template_name="robots.txt", content_type="text/plain")
    return [path("robots.txt", robots), path("favicon.ico", favicon), *(development() if settings.DEBUG else [])]


def favicon(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(asset("favicon.svg"))


def development() -> list[Any]:
    patterns: list[Any] = [path("mail/", mail.index), path("mail/<int:number>/<slug:kind>/", mail.part)]
    if apps.is_installed("debug_toolbar"):
        from debug_toolbar.toolbar import debug_toolbar_urls

        patterns += debug_toolbar_urls()
    return patterns
