"""A small site with the page, for tests."""

import os
from pathlib import Path

SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF, USE_TZ = "only-for-tests", ["*"], "urls_of_site", True
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                  "django.contrib.messages", "django.contrib.sessions", "mounted"]
MIDDLEWARE = ["urls_of_site.who"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
              "DIRS": [Path(__file__).parent / "templates"]}]
LOGGING = {"version": 1, "disable_existing_loggers": False,
           "handlers": {"all": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["all"], "level": "INFO"}}
MOUNTED_ROOT = os.environ.get("MOUNTED_ROOT", "/nothing")
