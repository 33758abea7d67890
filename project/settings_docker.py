"""Production settings, from environment variables: see docs/image.md.
What settings_base.py assigns replaces the values above its import, but not those below."""

import os
from pathlib import Path

from slipway import production, values
from slipway.env import REQUIRED, env
from slipway.logs import output
from slipway.logs.logging import logging_config
from slipway.release import RELEASE

# Names with _ are no settings: an import of * leaves them alone.
_root = Path(__file__).resolve().parent.parent
_role = os.environ.get("ROLE", "")  # web, worker or beat; empty for other commands, such as migrate
_site = env.parsed("SITE_URL", values.site, REQUIRED, "https://shop.example")
_mail = env.parsed("EMAIL_URL", values.mail, values.Mail(), "smtp://user:password@mail.example")
_task_limit = env.number("TASK_TIME_LIMIT", 600, least=2)

# ---- settings_base.py may replace these ----
CSRF_TRUSTED_ORIGINS = [_site.origin]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _site.secure
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _site.secure else None
SECURE_HSTS_SECONDS = env.number("HSTS_SECONDS", 31_536_000) if _site.secure else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("HSTS_SUBDOMAINS")
SECURE_HSTS_PRELOAD = env.flag("HSTS_PRELOAD")
# Hide Django's warnings that HSTS_SUBDOMAINS and HSTS_PRELOAD are off: these force https on other hosts for months.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

CACHES = {"default": env.cache("CACHE_URL", "locmem://")}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
EMAIL_BACKEND = _mail.backend
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("MAIL_FROM", f"noreply@{_site.host}")
ADMINS = [(address, address) for address in env.words("ADMINS")]
LOGGING = logging_config(json=True)
SENTRY_DSN = env.parsed("SENTRY_DSN", values.dsn, "", "https://key@sentry.example/1")
SENTRY_ENVIRONMENT = env.text("SENTRY_ENVIRONMENT", "production")

# ---- background jobs ----
if _role == "web":  # visitors wait while a task is sent: give up soon
    CELERY_BROKER_CONNECTION_TIMEOUT = CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 2
    CELERY_TASK_PUBLISH_RETRY = False  # slipway.jobs.task retries instead, but only if sending failed quickly
CELERY_TASK_TIME_LIMIT = _task_limit
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# ---- end of background jobs ----

from .settings_base import *

# ---- production decides these ----
INSTALLED_APPS += values.apps(STORAGES)
DEBUG = False
# Errors get to stderr, too. Django calls LOGGING_CONFIG only if there is a LOGGING.
LOGGING = LOGGING or {"version": 1}
LOGGING_CONFIG = "slipway.logs.errors.configure"
SECRET_KEY = env.parsed("SECRET_KEY", values.secret_key, REQUIRED, values.KEY)
SECRET_KEY_FALLBACKS = env.parsed("SECRET_KEY_FALLBACKS", values.secret_keys, [], "the-key-before")
ALLOWED_HOSTS = [*production.hosts(_site), *env.words("ALLOWED_HOSTS")]
SITE_PORT = _site.port if _site.secure else None
METRICS_TOKEN = env.parsed("METRICS_TOKEN", values.token, "", values.KEY)  # clients on other hosts need it for /metrics

# ---- background jobs ----
_task_limit = CELERY_TASK_TIME_LIMIT or _task_limit
if "CELERY_TASK_SOFT_TIME_LIMIT" not in globals():
    CELERY_TASK_SOFT_TIME_LIMIT = production.soft_time_limit(_task_limit)
_needed = REQUIRED if _role in ("worker", "beat") else ""
CELERY_BROKER_URL = env.parsed("BROKER_URL", values.broker, _needed, "redis://redis.example:6379/0")
CELERY_TASK_ALWAYS_EAGER = not CELERY_BROKER_URL  # without a broker, the process that sends a task runs it
if not CELERY_BROKER_URL:
    CELERY_BROKER_URL = "memory://localhost"  # kombu warns if this URL has no host
    READINESS = {name: check for name, check in READINESS.items() if name != "broker"}
    READINESS_BEAT = {}
CELERY_BROKER_TRANSPORT_OPTIONS = production.broker_options(CELERY_BROKER_URL, _task_limit, _role)
CELERY_BROKER_USE_SSL = values.broker_tls(CELERY_BROKER_URL)
# ---- end of background jobs ----

_session = f"{_role or 'manage'} {RELEASE} {_site.host}"
_limits = production.timeouts(_role, _task_limit)
_pooler = env.flag("DATABASE_POOLER")
if "DATABASES" not in globals():
    DATABASES: dict[str, dict[str, object]] = {}
# Of settings_base.py's, all but the default one's address and account holds.
DATABASES = production.sessions(env.databases(DATABASES), _session, _limits, _pooler)
if SERVER == "asgi" and _role == "web":
    for _each in DATABASES.values():
        _each["CONN_MAX_AGE"] = 0  # each request has a new thread, which could not reuse a connection

STATIC_URL = env.parsed("STATIC_URL", values.origin, "/static/", "https://static.example/")
STATIC_ROOT = _root / "static-root"  # filled by the image's build
STATIC_STORAGE = env.parsed("STATIC_STORAGE_URL", values.bucket, {}, values.STORAGE)  # used by slipway.files.bucket
if not STATIC_URL.startswith("/"):  # another server serves the static files
    MIDDLEWARE = [name for name in MIDDLEWARE if name != "whitenoise.middleware.WhiteNoiseMiddleware"]
MEDIA_ROOT = env.text("MEDIA_ROOT", "/data/media")
STORAGES["staticfiles"] = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
CONTENT_SECURITY_POLICY = production.policy(CONTENT_SECURITY_POLICY, STATIC_URL, STORAGES["default"])

if _mail != values.Mail():  # EMAIL_URL is set
    EMAIL_HOST = _mail.host
    EMAIL_PORT = _mail.port
    EMAIL_HOST_USER = _mail.user
    EMAIL_HOST_PASSWORD = _mail.password
    EMAIL_USE_TLS = _mail.starttls
    EMAIL_USE_SSL = _mail.tls

if _role:
    output.install()

env.check(examples="IMAGE_BUILD" in os.environ)  # the image's build lacks required variables

if SENTRY_DSN:
    from slipway.logs import sentry

    sentry.start(SENTRY_DSN, RELEASE, SENTRY_ENVIRONMENT)
