"""The tests' settings, with the app."""

from project.settings_test import *  # noqa: F401, F403
from project.settings_test import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "filed"]
DATABASES = {**DATABASES, "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
