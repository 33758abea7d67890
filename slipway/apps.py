"""The Django app of slipway."""

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
            import_module("slipway.celery")  # every process then sends tasks with the project's settings
            if in_production:
                raised.connect_tasks()
