"""Django's makemigrations, which says at once what of the new migrations a deploy will refuse."""

from typing import Any

from django.core.management.commands import makemigrations
from django.db.migrations.loader import MigrationLoader

from ...schema.operations import breaking_changes

FAILS = "{}: if a release with this table is live, it would fail: {}"


class Command(makemigrations.Command):
    """Django's makemigrations, which says at once what the live release would miss."""

    def write_migration_files(self, changes: dict[str, list[Any]], *replaced: Any) -> None:
        """`replaced`: given by --update, whose state of before is none of the loader's."""
        state = MigrationLoader(None, ignore_no_migrations=True).project_state()
        super().write_migration_files(changes, *replaced)
        if not (self.dry_run or replaced):
            for migration in (each for migrations in changes.values() for each in migrations):
                for line in breaking_changes(migration, state):
                    self.log(self.style.WARNING(FAILS.format(migration, line)))
