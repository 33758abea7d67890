"""Django's makemigrations, which says at once what of the new migrations a deploy will refuse."""

import os
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from django.core.management.commands import makemigrations

from ...make.verdicts import new

JUDGE = [sys.executable, "-m", "slipway.schema.verdicts", os.devnull]
JUDGING = 300  # limit: seconds


class Command(makemigrations.Command):
    """Django's makemigrations, which says at once what the live release would miss."""

    def write_migration_files(self, changes: dict[str, list[Any]], *args: Any) -> None:
        """Write the files. Then judge the new migrations."""
        super().write_migration_files(changes, *args)
        made = [str(migration) for migrations in changes.values() for migration in migrations]
        if made and self.verbosity and not self.dry_run:
            for line in verdicts(made):
                self.log(line if line.endswith(": ok") else self.style.WARNING(line))


def verdicts(made: Collection[str]) -> list[str]:
    """Return the verdicts on these migrations, for a release that lacks all new ones: another process applies them to
    an empty database of its own. Return none if it cannot: `make test` will say why."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with suppress(OSError, subprocess.SubprocessError):
        command = [*JUDGE, *sorted({*made, *new()})]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=JUDGING, check=False)
        return [line for line in done.stdout.splitlines() if line.startswith(tuple(f"{name} on " for name in made))]
    return []
