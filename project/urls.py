"""The site's URLs. slipway itself answers /healthz, /readyz, /metrics and /debug/vars."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path  # noqa: F401  include is for your apps

from slipway.media import media
from slipway.pages import pages

urlpatterns = [
    path(settings.ADMIN_PATH, admin.site.urls),
    path("", include("project.home.urls")),
    # ---- accounts ----
    path("accounts/", include("allauth.urls")),
    # ---- end of accounts ----
    *pages(),  # robots.txt, favicon.ico; in development mails (/mail/) and the debug toolbar
    *media(),  # uploads, unless nginx or a bucket serves them
]
