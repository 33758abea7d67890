"""A project with settings of its own: what slipway needs beside them. Production's or the tests' come after this."""
# What is not assigned here is the project's, over which this is run.
# flake8: noqa: F821
# mypy: disable-error-code="name-defined, has-type, var-annotated"

from slipway.release import RELEASE  # noqa: F401: part of the settings
from slipway.settings import shared

own = globals()
security = "django.middleware.security.SecurityMiddleware"
ours = ["slipway.web.middleware.RequestId", "slipway.web.middleware.Probes", "slipway.web.middleware.Metrics"]
again = {*ours, "whitenoise.middleware.WhiteNoiseMiddleware"}  # production puts the last where it belongs

INSTALLED_APPS = [*INSTALLED_APPS]
for app in ("slipway", "django.contrib.staticfiles", "django_celery_beat"):
    if app in shared.INSTALLED_APPS and not any(f"{name}.".startswith(f"{app}.") for name in INSTALLED_APPS):
        INSTALLED_APPS.append(app)
MIDDLEWARE = [*ours, *([] if security in MIDDLEWARE else [security]),
              *(name for name in MIDDLEWARE if name not in again)]

SERVER = own.get("SERVER") or shared.SERVER
for name in ("ASGI_APPLICATION", "STORAGE_URL", "ADMIN_PATH", "METRICS_TOKEN"):
    own.setdefault(name, getattr(shared, name))
READINESS = {**shared.READINESS, **own.get("READINESS", {})}
READINESS_BEAT = {**shared.READINESS_BEAT, **own.get("READINESS_BEAT", {})}
CELERY_WORKER_CONSUMER = "slipway.jobs.worker:Consumer"  # for a Celery app of the project's own

CONTENT_SECURITY_POLICY = own.get("CONTENT_SECURITY_POLICY") or {"DIRECTIVES": {}}  # counts where django-csp is
CONTENT_SECURITY_POLICY["DIRECTIVES"].setdefault("default-src", [])
