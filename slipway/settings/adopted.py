"""A project with settings of its own: what slipway needs beside them. Production's or the tests' come after this."""
# What is not assigned here is the project's, over which this is run.
# flake8: noqa: F821
# mypy: disable-error-code="name-defined, has-type, var-annotated"

from importlib.util import find_spec

from slipway import values
from slipway.env import env
from slipway.release import RELEASE  # noqa: F401: part of the settings

own = globals()
security = "django.middleware.security.SecurityMiddleware"
ours = ["slipway.middleware.RequestId", "slipway.middleware.Probes", "slipway.middleware.Metrics"]
again = {*ours, "whitenoise.middleware.WhiteNoiseMiddleware"}  # production puts the last where it belongs

INSTALLED_APPS = [*INSTALLED_APPS]
for app in ("slipway", "django.contrib.staticfiles"):
    if not any(f"{name}.".startswith(f"{app}.") for name in INSTALLED_APPS):
        INSTALLED_APPS.append(app)
MIDDLEWARE = [*ours, *([] if security in MIDDLEWARE else [security]),
              *(name for name in MIDDLEWARE if name not in again)]

SERVER = own.get("SERVER") or env.parsed("SERVER", values.server, "wsgi", "asgi")
ASGI_APPLICATION = own.get("ASGI_APPLICATION", "slipway.asgi.application")
ADMIN_PATH = own.get("ADMIN_PATH", "admin/")
METRICS_TOKEN = own.get("METRICS_TOKEN", "")
READINESS = {
    "database": "slipway.checks.database",
    "migrations": "slipway.checks.migrations",
    "cache": "slipway.checks.cache",
    **own.get("READINESS", {}),
}
READINESS_BEAT = own.get("READINESS_BEAT", {})
if find_spec("celery") and find_spec("django_celery_beat"):
    if "django_celery_beat" not in INSTALLED_APPS:
        INSTALLED_APPS.append("django_celery_beat")
    READINESS["broker"] = "slipway.celery.check_broker"
    CELERY_WORKER_CONSUMER = "slipway.worker:Consumer"  # for a Celery app of the project's own
    READINESS_BEAT = {"worker": "slipway.checks.worker", "beat": "slipway.checks.beat", **READINESS_BEAT}

CONTENT_SECURITY_POLICY = own.get("CONTENT_SECURITY_POLICY") or {"DIRECTIVES": {}}  # counts where django-csp is
CONTENT_SECURITY_POLICY["DIRECTIVES"].setdefault("default-src", [])
