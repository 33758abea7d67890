"""The Django apps that connect django-allauth and the admin with the site."""

from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps


class Accounts(AppConfig):
    """The templates of django-allauth in the project's look, and what connects it with slipway."""

    name = "slipway.accounts"
    label = "slipway_accounts"

    def ready(self) -> None:
        import_module("slipway.accounts.receivers")


class Admin(apps.AdminConfig):
    """Django's admin, with the site's own sign-in."""

    default = False
    default_site = "slipway.accounts.admin.Site"
