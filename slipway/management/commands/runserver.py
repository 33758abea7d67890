"""Django's runserver, which first prepares the development database."""

import os
from typing import Any

from django.contrib.staticfiles.management.commands.runserver import Command as Runserver
from django.core.management import CommandError
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from slipway.schema.database import prepare


class Command(Runserver):
    """Django's runserver, which first prepares the development's database."""

    port: str

    def run(self, **options: Any) -> None:
        if not 0 < int(self.port) < 65536:
            raise CommandError(f"{self.port} is not a port: use one from 1 to 65535, such as make runserver PORT=8001")
        if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":  # once, not at each reload
            prepare()
        super().run(**options)
