"""What every environment shares. Add an app here, once; what differs is in settings.py (development),
settings_docker.py (production) and settings_test.py (tests)."""

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from csp.constants import NONE, SELF

from .ops.release import RELEASE  # noqa: F401: part of the settings

BASE_DIR = Path(__file__).resolve().parent.parent
SITE_NAME = "Slipway"  # what visitors read: rename it

INSTALLED_APPS = [
    "project.accounts",
    "project.home",
    "project.ops",
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
    "project.ops.middleware.RequestId",
    "project.ops.middleware.Probes",
    "project.ops.middleware.Metrics",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "project.ops.middleware.TooMany",
    "axes.middleware.AxesMiddleware",  # last
]

# What /readyz asks, by name: functions without arguments that raise when the part is down.
READINESS = {
    "database": "project.ops.checks.database",
    "migrations": "project.ops.checks.migrations",
    "cache": "project.ops.checks.cache",
}
READINESS_BEAT = {}  # what /readyz?beat asks as well
METRICS_TOKEN = ""  # who has it may see /metrics and /debug/vars from outside; empty: nobody

# Celery can be left out: drop its pins, project/celery.py and project/tasks.py.
if find_spec("celery") and find_spec("project.celery"):
    INSTALLED_APPS.append("django_celery_beat")
    READINESS["broker"] = "project.celery.check_broker"
    READINESS_BEAT = {"worker": "project.ops.checks.worker", "beat": "project.ops.checks.beat"}

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ADMIN_PATH = "admin/"

TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [BASE_DIR / "project/templates"],
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]

AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = [
    "project.ops.hashers.Argon2",
    "project.ops.hashers.PBKDF2",  # only so that imported accounts can sign in
]
AUTH_PASSWORD_VALIDATORS = [{"NAME": f"django.contrib.auth.password_validation.{name}"} for name in (
    "UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator",
    "NumericPasswordValidator")]

# Who fails to sign in to an account five times waits a quarter of an hour; from elsewhere its owner gets in.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "project.ops.sign_in.counted_as"
AXES_LOCKOUT_TEMPLATE = "429.html"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # nobody keeps an account closed, nor fills the database
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "project/static"]
MEDIA_URL = "media/"

CONTENT_SECURITY_POLICY = {"DIRECTIVES": {
    "default-src": [SELF], "base-uri": [SELF], "form-action": [SELF], "frame-ancestors": [NONE], "object-src": [NONE],
}}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "project.tasks:Scheduler"
CELERY_BEAT_SYNC_EVERY = 1  # a last-run time reaches the database with its run, so that a restart repeats none
CELERY_TIMEZONE = TIME_ZONE
