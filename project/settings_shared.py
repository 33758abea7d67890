"""What every environment shares: add your apps and your settings here, once. The template's own are in
slipway/settings/shared.py; what is assigned here replaces them. What an environment has of its own is in settings.py
(development), settings_docker.py (production) and settings_test.py (tests)."""

from pathlib import Path

from csp.constants import NONE, SELF

from slipway.env import REQUIRED, env  # noqa: F401: for your settings
from slipway.settings.shared import *  # noqa: F401, F403
from slipway.settings.shared import INSTALLED_APPS

BASE_DIR = Path(__file__).resolve().parent.parent
SITE_NAME = "Slipway"  # what visitors read: rename it

# Yours, from the environment: STRIPE_KEY = env.text("STRIPE_KEY", REQUIRED, "sk_test_1"). docs/settings.md tells more.

INSTALLED_APPS = [
    "project.accounts",
    "project.home",
    *INSTALLED_APPS,
]

ROOT_URLCONF = "project.urls"
AUTH_USER_MODEL = "accounts.User"

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
STATICFILES_DIRS = [BASE_DIR / "project/static"]

LANGUAGE_CODE = "en-us"
TIME_ZONE = CELERY_TIMEZONE = "UTC"
USE_I18N = True
USE_TZ = True

# From where pages may load what: https://django-csp.readthedocs.io/
CONTENT_SECURITY_POLICY = {"DIRECTIVES": {
    "default-src": [SELF], "base-uri": [SELF], "form-action": [SELF], "frame-ancestors": [NONE], "object-src": [NONE],
}}
