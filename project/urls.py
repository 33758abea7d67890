"""Which path goes where. /healthz, /readyz, /metrics and /debug/vars are answered before these, in slipway."""

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path  # noqa: F401: include is for your apps

urlpatterns = [
    path(settings.ADMIN_PATH, admin.site.urls),
    path("", include("project.home.urls")),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),  # development only: nothing where DEBUG is off
]
