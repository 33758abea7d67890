"""Production's settings, with this app."""

import os

from project.settings_docker import *  # noqa: F401, F403
from project.settings_docker import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "shop"]
ROOT_URLCONF = "shop.urls"
SHOP_EVERY = int(os.environ.get("SHOP_EVERY") or 0)
