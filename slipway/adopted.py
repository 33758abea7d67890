from collections.abc import Iterable, Mapping
from typing import Any

from .values import BLOBS

SECURITY = "django.middleware.security.SecurityMiddleware"
WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
FIRST = [f"slipway.web.middleware.{name}" for name in ("RequestId", "Probes", "Metrics", "SitePort")]
LAST = "slipway.web.middleware.PermissionsPolicy"


def apps(own: Iterable[str], storages: Mapping[str, Mapping[str, Any]], *more: str) -> list[str]:
    """Return INSTALLED_APPS: `own`, then slipway, staticfiles and the apps in `more`, unless `own` has them. Add
    slipway.files only if `storages` (STORAGES) keeps uploads in the database."""
    wanted = ["slipway", "django.contrib.staticfiles", *more]
    if storages["default"].get("BACKEND") == BLOBS:
        wanted.append("slipway.files")
    there = [*own]
    return there + [app for app in wanted if not any(f"{name}.".startswith(f"{app}.") for name in there)]


def middleware(own: Iterable[str]) -> list[str]:
    """Return MIDDLEWARE: FIRST, then `own` with SecurityMiddleware and WhiteNoise added, then LAST."""
    rest = [name for name in own if name not in (*FIRST, WHITENOISE, LAST)]
    if SECURITY not in rest:
        rest.insert(0, SECURITY)
    place = rest.index(SECURITY) + 1
    return [*FIRST, *rest[:place], WHITENOISE, *rest[place:], LAST]
