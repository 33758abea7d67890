"""A URLconf of a site for outages, with pages named after the service that they need."""

from django.contrib import admin
from django.core.cache import cache
from django.http import HttpResponse
from django.urls import path

from slipway.tasks import heartbeat


def plain(request):
    return HttpResponse("plain")


def cached(request):
    cache.set("key", 1)
    return HttpResponse(cache.get("key"))


def queued(request):
    heartbeat.delay()
    return HttpResponse("queued")


urlpatterns = [path("admin/", admin.site.urls),
               *(path(view.__name__, view) for view in (plain, cached, queued))]
