"""Django's migrate. If a server migrates the project's own SQLite file, it waits."""

from contextlib import nullcontext
from typing import Any

from django.core.management.commands.migrate import Command as Migrate

from slipway.schema.database import is_own, turn


class Command(Migrate):
    def handle(self, *args: Any, **options: Any) -> None:
        with turn() if is_own() else nullcontext():
            super().handle(*args, **options)
