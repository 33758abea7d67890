"""The app of files in the database."""

from importlib import import_module

from django.apps import AppConfig
from django.db.models.fields.files import FieldFile


class BlobsConfig(AppConfig):
    """With its check that somebody serves the files."""

    name = "slipway.files"
    label = "slipway_blobs"
    default_auto_field = "django.db.models.BigAutoField"  # whatever the project has

    def ready(self) -> None:
        """As Django calls it, once all apps are there."""
        import_module("slipway.files.checks")
        setattr(FieldFile, "__exit__", import_module("slipway.files.opened").leave)
