"""The app of what the template itself needs."""

from importlib import import_module

from django.apps import AppConfig, apps


class OpsConfig(AppConfig):
    """Loads what has to hear of events before any comes."""

    name = "slipway"
    default_auto_field = "django.db.models.BigAutoField"  # whatever the project has

    def ready(self) -> None:
        """As Django calls it, once all apps are there."""
        import_module("slipway.security.sign_in")  # hears of failures
        if apps.is_installed("django_celery_beat"):
            import_module("slipway.celery")  # so that whoever sends a task sends it with the project's settings
