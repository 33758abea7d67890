"""The pages of a site that is watched in an outage: each is named after what it needs. A URLconf."""

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
