"""The tests' settings, with the app."""

from project.settings_test import *  # noqa: F401, F403
from project.settings_test import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "filed"]
