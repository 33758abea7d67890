"""The Django app whose tables hold uploads."""

from django.apps import AppConfig


class FilesConfig(AppConfig):
    """The app whose tables hold uploads."""

    name = "slipway.files"
    label = "slipway_blobs"  # the prefix of its tables' names
    default_auto_field = "django.db.models.BigAutoField"  # independent of the project's setting
