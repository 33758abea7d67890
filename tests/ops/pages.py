"""The pages of a site that is watched in an outage: each is named after what it needs. A URLconf."""

import secrets
from datetime import timedelta

from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.urls import path
from django.utils import timezone

from slipway.tasks import heartbeat


def plain(request):
    return HttpResponse("plain")


def read(request):
    return HttpResponse(Session.objects.filter(session_key="none").count())


def write(request):
    Session.objects.create(session_key=secrets.token_hex(20), session_data=secrets.token_hex(4000),
                           expire_date=timezone.now() + timedelta(days=1))
    return HttpResponse("written")


def slow(request):
    """A statement that takes its time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    return HttpResponse("slept")


def iterated(request):
    """A cursor in the server, or not."""
    return HttpResponse(len([*ContentType.objects.iterator(chunk_size=1)]))


def cached(request):
    cache.set("key", 1)
    return HttpResponse(cache.get("key"))


def queued(request):
    heartbeat.delay()
    return HttpResponse("queued")


urlpatterns = [path("admin/", admin.site.urls),
               *(path(view.__name__, view) for view in (plain, read, write, slow, iterated, cached, queued))]
