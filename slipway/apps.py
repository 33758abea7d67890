"""The Django app of slipway."""

import contextlib
from importlib import import_module

from django.apps import AppConfig, apps
from django.conf import settings

from .logs import raised


class OpsConfig(AppConfig):
    """The Django app of slipway. At start it registers slipway's checks and signal receivers."""

    name = "slipway"

    def ready(self) -> None:
        checks = import_module("slipway.settings.checks")
        import_module("slipway.settings.versions")
        import_module("slipway.security.sign_in")  # connects to the signal of failed sign-ins
        in_production = checks.is_production() or settings.LOGGING_CONFIG == "slipway.logs.errors.configure"
        if in_production:
            raised.connect()
        if apps.is_installed("django_celery_beat"):
            self.begin_celery()
            if in_production:
                raised.connect_tasks()

    def begin_celery(self) -> None:
        """Load the project's Celery app, so that every process sends tasks by it."""
        celery = import_module("slipway.celery")
        import_module("slipway.tasks")
        with contextlib.suppress(Exception):  # its module may need all apps: then whoever sends a task loads it
            celery.project_app()
