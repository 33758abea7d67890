"""Settings for all environments: your apps and your own settings.
settings.py (development), settings_docker.py (production) and settings_test.py import it. See docs/settings.md."""

from datetime import timedelta
from pathlib import Path

from csp.constants import NONCE, NONE, SELF

from slipway.env import REQUIRED, env
from slipway.release import RELEASE

BASE_DIR = Path(__file__).resolve().parent.parent
SITE_NAME = "Slipway"  # visitors see it: rename it

# Read your own environment variables here, such as STRIPE_KEY = env.text("STRIPE_KEY", REQUIRED, "sk_test_1").

INSTALLED_APPS = [
    "project.accounts",
    "project.home",
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
    "slipway.web.middleware.SitePort",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "slipway.web.middleware.PermissionsPolicy",
    "slipway.web.middleware.TooMany",
    "axes.middleware.AxesMiddleware",  # must be last
]

ROOT_URLCONF = "project.urls"
SERVER = env.choice("SERVER", ["wsgi", "asgi"])  # which of the next two applications gunicorn serves
WSGI_APPLICATION = "slipway.wsgi.application"
ASGI_APPLICATION = "slipway.asgi.application"
ADMIN_PATH = env.url_path("ADMIN_PATH", "admin/")

# Checks of /readyz: name → function, which raises an exception if that part of the site is down.
READINESS = {
    "database": "slipway.health.checks.database",
    "migrations": "slipway.health.checks.migrations",
    "cache": "slipway.health.checks.cache",
}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project/templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATICFILES_DIRS = [BASE_DIR / "project/static"]
MEDIA_URL = "media/"
STORAGES = {
    "default": env.storage("STORAGE_URL"),  # uploads: docs/files.md
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
LANGUAGES = [("en", "English")]  # a visitor gets the first that the browser asks for: docs/settings.md
LOCALE_PATHS = [BASE_DIR / "project/locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["slipway.security.hashers.Argon2", "slipway.security.hashers.PBKDF2"]  # PBKDF2: imported accounts
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# Five failed sign-ins from an address lock the account for that address for 15 minutes, but for no other address.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "slipway.security.sign_in.counted_as"
AXES_USERNAME_CALLABLE = "slipway.security.sign_in.name"
AXES_LOCKOUT_TEMPLATE = "429.html"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # else attackers could extend a lock or fill the database
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"  # features that no page may use
# Sources that pages may load from: https://django-csp.readthedocs.io/
_policy = {
    "default-src": [SELF, NONCE],  # NONCE: a page's own <script {% nonce %}> and <style {% nonce %}>
    "base-uri": [SELF],
    "form-action": [SELF],
    "frame-ancestors": [NONE],
    "object-src": [NONE],
}
CONTENT_SECURITY_POLICY = {"DIRECTIVES": _policy}

# ---- accounts: a project without django-allauth has no such block, here and in other files ----
INSTALLED_APPS[INSTALLED_APPS.index("django.contrib.admin")] = "slipway.accounts.apps.Admin"  # with the site's sign-in
INSTALLED_APPS += ["slipway.accounts", "allauth", "allauth.account", "allauth.mfa", "django.contrib.humanize"]
MIDDLEWARE.insert(-1, "allauth.account.middleware.AccountMiddleware")
AUTHENTICATION_BACKENDS.append("allauth.account.auth_backends.AuthenticationBackend")
SIGN_UP_OPEN = True  # False: only staff add accounts
STAFF_NEED_MFA = True  # in the admin
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "slipway.accounts.adapter.Adapter"
ACCOUNT_LOGIN_METHODS = {"email"}  # a user model without username needs ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
# Mails have codes instead of links: a link's secret would be in the logs of servers.
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_CHANGE_EMAIL = True  # an account has one address
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True  # without a question
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_FORMS = {
    "add_webauthn": "slipway.accounts.forms.add",
    "login_webauthn": "slipway.accounts.forms.login",
    "authenticate_webauthn": "slipway.accounts.forms.authenticate",
    "reauthenticate_webauthn": "slipway.accounts.forms.reauthenticate",
}
MFA_TOTP_ISSUER = SITE_NAME
MFA_TOTP_TOLERANCE = 1  # clocks differ by up to half a minute
# ---- end of accounts ----

# ---- background jobs: a project without Celery has no such block, here and in the other settings ----
INSTALLED_APPS.append("django_celery_beat")
READINESS["broker"] = "slipway.celery.check_broker"
# Checks of /readyz?beat.
READINESS_BEAT = {"worker": "slipway.health.checks.worker", "beat": "slipway.health.checks.beat"}
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "slipway.jobs.beat:Scheduler"
CELERY_BEAT_SYNC_EVERY = 1  # beat records each run at once, so that a restart repeats none
# ---- end of background jobs ----
