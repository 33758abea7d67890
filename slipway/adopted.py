"""For the settings of an adopted project: its apps and middleware with those that slipway needs."""

from collections.abc import Iterable, Mapping
from typing import Any

from . import values

SECURITY = "django.middleware.security.SecurityMiddleware"
WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
FIRST = [f"slipway.web.middleware.{name}" for name in ("RequestId", "Probes", "Metrics", "SitePort")]
LAST = "slipway.web.middleware.PermissionsPolicy"


def apps(own: Iterable[str], storages: Mapping[str, Mapping[str, Any]], *others: str) -> list[str]:
    """Return INSTALLED_APPS: `own`, then slipway, staticfiles and the apps in `others`, and the one that `storages`
    (STORAGES) needs, unless `own` has them."""
    needed = ["slipway", "django.contrib.staticfiles", *others, *values.apps(storages)]
    installed = [*own]
    return installed + [app for app in needed if not any(f"{name}.".startswith(f"{app}.") for name in installed)]


def middleware(own: Iterable[str]) -> list[str]:
    """Return MIDDLEWARE: FIRST, then `own` with SecurityMiddleware and WhiteNoise added, then LAST."""
    rest = [name for name in own if name not in (*FIRST, WHITENOISE, LAST)]
    if SECURITY not in rest:
        rest.insert(0, SECURITY)
    place = rest.index(SECURITY) + 1
    return [*FIRST, *rest[:place], WHITENOISE, *rest[place:], LAST]
