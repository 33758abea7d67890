"""What every environment of every project shares. A project's settings_shared.py has the last word."""

from datetime import timedelta
from importlib.util import find_spec

from .. import values
from ..env import env
from ..release import RELEASE  # noqa: F401: part of the settings

INSTALLED_APPS = [
    "slipway",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "csp",
]

MIDDLEWARE = [
    "slipway.web.middleware.RequestId",
    "slipway.web.middleware.Probes",
    "slipway.web.middleware.Metrics",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "slipway.web.middleware.TooMany",
    "axes.middleware.AxesMiddleware",  # last
]

# What /readyz asks, by name: functions without arguments that raise when the part is down.
READINESS = {
    "database": "slipway.health.checks.database",
    "migrations": "slipway.health.checks.migrations",
    "cache": "slipway.health.checks.cache",
}
READINESS_BEAT: dict[str, str] = {}  # what /readyz?beat asks as well
METRICS_TOKEN = ""  # who has it may see /metrics and /debug/vars from outside; empty: nobody

if find_spec("django_celery_beat"):  # and Celery, which it needs: without background jobs a project drops their pins
    INSTALLED_APPS.append("django_celery_beat")
    READINESS["broker"] = "slipway.celery.check_broker"
    READINESS_BEAT = {"worker": "slipway.health.checks.worker", "beat": "slipway.health.checks.beat"}

SERVER = env.parsed("SERVER", values.server, "wsgi", "asgi")  # which of the two gunicorn serves
WSGI_APPLICATION = "slipway.wsgi.application"
ASGI_APPLICATION = "slipway.asgi.application"
ADMIN_PATH = "admin/"

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = [
    "slipway.security.hashers.Argon2",
    "slipway.security.hashers.PBKDF2",  # only so that imported accounts can sign in
]
AUTH_PASSWORD_VALIDATORS = [{"NAME": f"django.contrib.auth.password_validation.{name}"} for name in (
    "UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator",
    "NumericPasswordValidator")]

# Who fails to sign in to an account five times waits a quarter of an hour; from elsewhere its owner gets in.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "slipway.security.sign_in.counted_as"
AXES_USERNAME_CALLABLE = "slipway.security.sign_in.name"
AXES_LOCKOUT_TEMPLATE = "429.html"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # nobody keeps an account closed, nor fills the database
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

STATIC_URL = "static/"
MEDIA_URL = "media/"
STORAGE_URL = ""  # "database:" keeps uploads there: docs/files.md
STORAGES = values.STORAGES

X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "slipway.jobs.beat:Scheduler"
CELERY_BEAT_SYNC_EVERY = 1  # a last-run time reaches the database with its run, so that a restart repeats none
