"""Django's makemigrations, which says at once what of the new migrations a deploy will refuse."""

import os
import subprocess
import sys
from typing import Any

from django.core.management.commands import makemigrations

from ...make.verdicts import new

JUDGE = [sys.executable, "-m", "slipway.schema.verdicts", os.devnull]


class Command(makemigrations.Command):
    """Django's makemigrations, which says at once what the live release would miss."""

    def write_migration_files(self, changes: dict[str, list[Any]], *args: Any) -> None:
        """Write the files. Then judge the new migrations by another process, in an empty database of its own."""
        super().write_migration_files(changes, *args)
        made = [str(migration) for migrations in changes.values() for migration in migrations]
        if made and not self.dry_run:
            names = sorted({*made, *new()})
            done = subprocess.run([*JUDGE, *names], capture_output=True, text=True, check=False)
            for line in done.stdout.splitlines():
                if any(line.startswith(f"{name} on ") for name in made):
                    self.log(self.style.WARNING(line))
