"""Pages that use what production has: the database, the log, the session and the broker."""

import logging
import time

from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path

from .tasks import order

logger = logging.getLogger(__name__)


def slow(request):
    """Says that it began, and answers after a while."""
    logger.info("began %s", request.GET["n"])
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse(request.GET["n"])


def users(request):
    return HttpResponse(str(get_user_model().objects.count()))


def cookies(request):
    """Sets both cookies that Django knows."""
    request.session["basket"] = 1
    return HttpResponse(get_token(request))


def queue(request):
    order.delay(request.GET["n"])
    return HttpResponse("queued")


def broken(request):
    raise RuntimeError("broken on purpose")


urlpatterns = [path("slow", slow), path("users", users), path("cookies", cookies), path("queue", queue),
               path("broken", broken), path("", include("project.urls"))]
