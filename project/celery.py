"""The project's Celery app."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from slipway.celery import app  # noqa: E402, F401  reads the settings
