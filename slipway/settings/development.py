"""Development: no service needed. What differs on your machine goes into .env, one KEY=value a line."""
# What is not assigned here is of settings_shared.py, over which this is run.
# flake8: noqa: F821
# mypy: disable-error-code="name-defined, has-type, var-annotated"

from urllib.parse import quote

from slipway import values
from slipway.env import env
from slipway.logs.logging import logging_config

VAR = BASE_DIR / "var"  # all that development keeps: out of git, and safe to delete

try:
    VAR.mkdir(exist_ok=True)
except OSError as error:
    env.problem(f"the folder {VAR} cannot be made: {error.strerror}; development keeps its data there")

DEBUG = True
SECRET_KEY = env.text("SECRET_KEY", "only-for-development-" + "x" * 50)
ALLOWED_HOSTS = ["localhost", ".localhost", "127.0.0.1", "[::1]"] + env.words("ALLOWED_HOSTS")
INTERNAL_IPS = ["127.0.0.1", "::1"]
ADMIN_PATH = env.url_path("ADMIN_PATH", ADMIN_PATH)
METRICS_TOKEN = env.text("METRICS_TOKEN", METRICS_TOKEN)

OWN_DATABASE = VAR / "db.sqlite3"  # the one that runserver may migrate unasked
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{quote(str(OWN_DATABASE))}")}
CACHES = {"default": env.cache("CACHE_URL", "locmem://")}

CELERY_BROKER_URL = env.parsed("BROKER_URL", values.development_broker, "filesystem://", "redis://localhost:6379/0")
CELERY_BROKER_USE_SSL = values.broker_tls(CELERY_BROKER_URL or "")
if CELERY_BROKER_URL == "filesystem://":
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": VAR / "broker", "data_folder_out": VAR / "broker", "control_folder": VAR / "broker/control",
    }
CELERY_WORKER_POOL = "threads"  # no child processes: those of make dev all get Ctrl-C, and macOS dislikes forks
CELERY_WORKER_CONCURRENCY = 2

EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
MEDIA_ROOT = VAR / "media"
globals().update(values.files(env.url("STORAGE_URL", values.storage, STORAGE_URL, values.STORAGE), globals()))
LOGGING = logging_config(json=False)

env.check()
