"""For the settings of an adopted project: its apps and middleware with those that slipway needs."""

from collections.abc import Iterable, Mapping
from typing import Any

from . import values

SECURITY = "django.middleware.security.SecurityMiddleware"
WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
FIRST = [f"slipway.web.middleware.{name}" for name in ("RequestId", "Probes", "Metrics", "SitePort")]
LAST = "slipway.web.middleware.PermissionsPolicy"


def apps(own: Iterable[str], storages: Mapping[str, Mapping[str, Any]], *more: str) -> list[str]:
    """Return INSTALLED_APPS: `own`, then slipway, staticfiles and the apps in `more`, and the one that `storages`
    (STORAGES) needs, unless `own` has them."""
    wanted, there = ["slipway", "django.contrib.staticfiles", *more, *values.apps(storages)], [*own]
    return there + [app for app in wanted if not any(f"{name}.".startswith(f"{app}.") for name in there)]


def middleware(own: Iterable[str]) -> list[str]:
    """Return MIDDLEWARE: FIRST, then `own` with SecurityMiddleware and WhiteNoise added, then LAST."""
    rest = [name for name in own if name not in (*FIRST, WHITENOISE, LAST)]
    if SECURITY not in rest:
        rest.insert(0, SECURITY)
    place = rest.index(SECURITY) + 1
    return [*FIRST, *rest[:place], WHITENOISE, *rest[place:], LAST]
