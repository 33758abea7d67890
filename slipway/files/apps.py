"""The app of files in the database."""

from django.apps import AppConfig


class FilesConfig(AppConfig):
    """Its models, where a project asks for them."""

    name = "slipway.files"
    label = "slipway_blobs"  # as its tables are called
    default_auto_field = "django.db.models.BigAutoField"  # whatever the project has
