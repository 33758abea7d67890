"""Development: no service needed. What differs on your machine goes into .env, one KEY=value a line."""

import os

from .ops.env import Env, read_file
from .ops.logging import logging_config
from .settings_shared import *  # noqa: F403
from .settings_shared import BASE_DIR

VAR = BASE_DIR / "var"  # all that development keeps: out of git, and safe to delete
VAR.mkdir(exist_ok=True)

_variables, _problems = read_file(BASE_DIR / ".env")
env = Env({**_variables, **os.environ}, _problems)

DEBUG = True
SECRET_KEY = env.text("SECRET_KEY", "only-for-development-" + "x" * 50)
ALLOWED_HOSTS = ["localhost", ".localhost", "127.0.0.1", "[::1]"] + env.words("ALLOWED_HOSTS")
INTERNAL_IPS = ["127.0.0.1", "::1"]
ADMIN_PATH = env.url_path("ADMIN_PATH", "admin/")

OWN_DATABASE = VAR / "db.sqlite3"  # the one that runserver may migrate unasked
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{OWN_DATABASE}")}
CACHES = {"default": env.cache("CACHE_URL", "locmem://")}

CELERY_BROKER_URL = env.text("BROKER_URL", "filesystem://")
if CELERY_BROKER_URL == "filesystem://":
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": VAR / "broker", "data_folder_out": VAR / "broker", "control_folder": VAR / "broker/control",
    }

EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
MEDIA_ROOT = VAR / "media"
LOGGING = logging_config(json=False)

env.check()
