"""The tests' settings, with the app `filed`."""

from project.settings_test import *  # noqa: F401, F403
from project.settings_test import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "filed"]
