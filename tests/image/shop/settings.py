"""Production's settings with this app."""

from project.settings_docker import *  # noqa: F401, F403
from project.settings_docker import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "shop"]
ROOT_URLCONF = "shop.urls"
