"""Production: everything from the environment, all that is wrong with it told at once. docs/image.md lists it."""
# What is not assigned here is of settings_shared.py, over which this is run.
# flake8: noqa: F821
# mypy: disable-error-code="name-defined, has-type, var-annotated"

import os

from slipway.logs import output
from slipway import values
from slipway.env import REQUIRED, env
from slipway.logs.logging import logging_config
from slipway.manage import HERE

KEY = "what-this-prints: openssl rand -hex 32"

DEBUG = False
site = env.parsed("SITE_URL", values.site, REQUIRED, "https://shop.example") or values.site("http://localhost")
SECRET_KEY = env.parsed("SECRET_KEY", values.secret_key, REQUIRED, KEY)
SECRET_KEY_FALLBACKS = env.parsed("SECRET_KEY_FALLBACKS", values.secret_keys, [], "the-key-before")
TASK_TIME_LIMIT = env.number("TASK_TIME_LIMIT", 600, least=2) or 600
part = os.environ.get("ROLE")
DATABASES = {"default": values.session(
    env.database(), f"{part or 'manage'} {RELEASE} {site.host}",
    values.timeouts(part, TASK_TIME_LIMIT), bool(env.flag("DATABASE_POOLER")))}
if SERVER == "asgi" and part == "web":
    DATABASES["default"].update(CONN_MAX_AGE=0)  # a request has a thread of its own, and none would find it again

ALLOWED_HOSTS = values.hosts(site) + env.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = [site.origin]
SITE_PORT = site.port
if site.secure:
    MIDDLEWARE = ["slipway.web.middleware.SitePort", *MIDDLEWARE]
ADMIN_PATH = env.url_path("ADMIN_PATH", ADMIN_PATH)
METRICS_TOKEN = env.parsed("METRICS_TOKEN", values.token, METRICS_TOKEN, KEY)

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = site.secure
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if site.secure else None
SECURE_HSTS_SECONDS = env.number("HSTS_SECONDS", 31_536_000) if site.secure else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("HSTS_SUBDOMAINS")
SECURE_HSTS_PRELOAD = env.flag("HSTS_PRELOAD")
# Both bind hosts that this site knows nothing of, for months: nobody gets them unasked, and not asking is no fault.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

PERMISSIONS_POLICY = values.PERMISSIONS
MIDDLEWARE = [*MIDDLEWARE, "slipway.web.middleware.PermissionsPolicy"]

STATIC_URL = env.parsed("STATIC_URL", values.origin, "/static/", "https://static.example/") or "/static/"
STATIC_ROOT = HERE / "static-root"  # filled by the image's build
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
MEDIA_ROOT = env.text("MEDIA_ROOT", "/data/media")
STORAGES = {
    "default": {"BACKEND": "slipway.files.folder.Folder"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if STATIC_URL.startswith("/"):
    MIDDLEWARE.insert(MIDDLEWARE.index("django.middleware.security.SecurityMiddleware") + 1,
                      "whitenoise.middleware.WhiteNoiseMiddleware")
else:
    for policy in ("CONTENT_SECURITY_POLICY", "CONTENT_SECURITY_POLICY_REPORT_ONLY"):
        values.allow((globals().get(policy) or {}).get("DIRECTIVES", {}), STATIC_URL)
STATIC_STORAGE = env.parsed("STATIC_STORAGE_URL", values.bucket, {}, values.STORAGE)  # for slipway.files.bucket
storage = env.url("STORAGE_URL", values.storage, STORAGE_URL, values.STORAGE)
globals().update(values.files(storage, globals()))
if bucket := storage.get("OPTIONS", {}).get("endpoint_url"):
    directives = CONTENT_SECURITY_POLICY["DIRECTIVES"]
    directives.update({name: [*directives.get(name, directives["default-src"]), bucket]
                       for name in ("img-src", "media-src")})

CACHES = {"default": env.cache("CACHE_URL", "locmem://")}

CELERY_TASK_TIME_LIMIT = TASK_TIME_LIMIT
CELERY_TASK_SOFT_TIME_LIMIT = TASK_TIME_LIMIT - min(30, max(1, TASK_TIME_LIMIT // 10))
CELERY_TASK_REJECT_ON_WORKER_LOST = True
needs_broker = REQUIRED if part in ("worker", "beat") else ""
CELERY_BROKER_URL = env.parsed("BROKER_URL", values.broker, needs_broker, "redis://redis.example:6379/0") or ""
CELERY_BROKER_TRANSPORT_OPTIONS = values.broker_options(CELERY_BROKER_URL, TASK_TIME_LIMIT)
if part == "web":
    CELERY_BROKER_TRANSPORT_OPTIONS.update(values.broker_haste(CELERY_BROKER_URL))
    CELERY_BROKER_CONNECTION_TIMEOUT = CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 0.9
    CELERY_TASK_PUBLISH_RETRY = False  # slipway.jobs.task does, where there is time
CELERY_BROKER_USE_SSL = values.broker_tls(CELERY_BROKER_URL)
CELERY_TASK_ALWAYS_EAGER = not CELERY_BROKER_URL  # a task is run at once, by who asks for it
if not CELERY_BROKER_URL:
    CELERY_BROKER_URL = "memory://localhost"  # without a host kombu warns
    READINESS = {name: check for name, check in READINESS.items() if name != "broker"}
    READINESS_BEAT = {}

DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("MAIL_FROM", f"noreply@{site.host}")
EMAIL_BACKEND = "slipway.web.mail.Off"
globals().update(env.parsed("EMAIL_URL", values.mail, {}, "smtp://user:password@mail.example") or {})

LOGGING = logging_config(json=True)
if part:
    output.install()

SENTRY_DSN = env.parsed("SENTRY_DSN", values.dsn, "", "https://key@sentry.example/1")

env.check()

if SENTRY_DSN:
    from slipway.logs import sentry
    sentry.start(SENTRY_DSN, RELEASE, env.text("SENTRY_ENVIRONMENT", "production"))
