"""Django's migrate. If a server migrates the project's own SQLite file, it waits."""

from typing import Any

from django.core.management.commands.migrate import Command as Migrate

from slipway.schema.database import turn


class Command(Migrate):
    def handle(self, *args: Any, **options: Any) -> None:
        with turn():
            super().handle(*args, **options)
