"""Of a site whose files are in a folder, and which has a page for all addresses."""

from django.conf import settings
from django.http import HttpResponse
from django.test import override_settings
from django.urls import re_path

from slipway.media import media

FOLDER = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}}
with override_settings(STORAGES=FOLDER):
    urlpatterns = [*media(), re_path("", lambda request: HttpResponse("a page for all addresses"))]
