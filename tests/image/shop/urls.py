"""Pages that use production's services: the database, the log and the broker."""

import logging
import time

from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.urls import include, path

from .tasks import order

logger = logging.getLogger(__name__)


def slow(request):
    """Log the begin, and answer after some seconds."""
    logger.info("began %s", request.GET["n"])
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse(request.GET["n"])


def users(request):
    return HttpResponse(str(get_user_model().objects.count()))


def queue(request):
    order.delay(request.GET["n"])
    return HttpResponse("queued")


def broken(request):
    raise RuntimeError("broken on purpose")


urlpatterns = [
    path("slow", slow),
    path("users", users),
    path("queue", queue),
    path("broken", broken),
    path("", include("project.urls")),
]
