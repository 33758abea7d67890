"""Django's runserver, with the database seen to first, which a newcomer trips over."""

import os
from typing import Any

from django.contrib.staticfiles.management.commands.runserver import Command as Runserver
from django.core.management import CommandError
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from slipway.schema.database import is_own, prepare, tell


class Command(Runserver):
    """Django's, as above."""

    port: str

    def run(self, **options: Any) -> None:
        if not 0 < int(self.port) < 65536:
            raise CommandError(f"{self.port} is not a port: one is between 1 and 65535, as in make runserver PORT=8001")
        if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":  # once, not at each reload
            prepare(self.stdout.write if is_own() else lambda line: None)  # of others check_migrations tells
        super().run(**options)

    def check_migrations(self) -> None:
        """At the start and each reload: in a line, and of make."""
        tell(self.stdout.write)
