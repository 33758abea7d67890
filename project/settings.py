"""Development settings. They need no database server or broker. Settings of your own machine go into .env."""

import sys
from pathlib import Path

from slipway import development, values
from slipway.env import env
from slipway.logs.logging import logging_config

# Before the import of settings_base.py, which reads these variables. Production and tests ignore .env.
env.read(Path(__file__).resolve().parent.parent / ".env")

# settings_base.py may replace these.
CACHES = {"default": env.cache("CACHE_URL", "locmem://")}
DATABASES: dict[str, dict[str, object]] = {}
LOGGING = logging_config(json=False)
STATIC_URL = "static/"

from .settings_base import *

INSTALLED_APPS += values.apps(STORAGES)
VAR = env.folder(BASE_DIR / "var")  # development's data: not in git, safe to delete

DEBUG = True
SECRET_KEY = env.text("SECRET_KEY", "only-for-development-" + "x" * 50)
ALLOWED_HOSTS = ["localhost", ".localhost", "127.0.0.1", "[::1]", *env.words("ALLOWED_HOSTS")]
INTERNAL_IPS = ["127.0.0.1", "::1"]
METRICS_TOKEN = env.text("METRICS_TOKEN", "")

OWN_DATABASE = VAR / "db.sqlite3"  # runserver migrates only this database by itself
DATABASES = env.databases(DATABASES, "DATABASE_URL", values.sqlite(OWN_DATABASE))
MEDIA_ROOT = VAR / "media"
EMAIL_BACKEND, EMAIL_FILE_PATH = "slipway.web.mail.Kept", VAR / "mail"  # to be read at /mail/
if env.flag("DEBUG_TOOLBAR", not {"runserver", "migrate"}.isdisjoint(sys.argv)):  # others start faster without it
    development.toolbar(INSTALLED_APPS, MIDDLEWARE)
    DEBUG_TOOLBAR_CONFIG = {"SHOW_COLLAPSED": True}

# ---- accounts ----
STAFF_NEED_MFA = False
# ---- end of accounts ----

# ---- background jobs ----
CELERY_BROKER_URL = env.parsed("BROKER_URL", values.development_broker, "filesystem://", "redis://localhost:6379/0")
CELERY_BROKER_TRANSPORT_OPTIONS = values.broker_folder(CELERY_BROKER_URL, VAR / "broker")
CELERY_BROKER_USE_SSL = values.broker_tls(CELERY_BROKER_URL)
CELERY_WORKER_POOL = "threads"  # no child processes: Ctrl-C in make dev would hit them, and fork() is unsafe on macOS
CELERY_WORKER_CONCURRENCY = 2
# ---- end of background jobs ----

env.check(examples=True)  # required variables may be missing: examples replace them
