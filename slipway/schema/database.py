"""What has to be right with the database before a server, worker or beat starts in development."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor

from ..lasting import LockedOpen

Write = Callable[[str], object]


def prepare(write: Write) -> None:
    """Bring the project's own SQLite file up to date; of any other database name what is pending, as a half-written
    branch must not migrate a shared one. `write` gets each line for the user: none where there is nothing to do.

    Raises CommandError, of one line, where the database cannot be used or a migration fails.
    """
    try:
        migrate(write) if is_own() else tell(write)
    finally:
        connection.close()  # what starts next opens its own


def tell(write: Write) -> None:
    """Name what is pending. Raises as `prepare` does."""
    if missing := pending():
        write(f"Migrations not applied to {where()}: {', '.join(missing)}. To apply them: make migrate")


def migrate(write: Write) -> None:
    """Migrate the project's own file. All under a lock, as on a fresh clone server, worker and beat come here at once:
    not even to open the file at the same time is safe, as SQLite does not wait its turn to switch one to WAL."""
    lock = Path(settings.OWN_DATABASE).with_suffix(".lock")
    with one_line():
        lock.touch()
    with LockedOpen(lock, "a"):
        if missing := pending():
            try:
                call_command("migrate", verbosity=0, interactive=False, skip_checks=True)
            except Exception as error:
                failed = next(iter(pending()), "a migration")
                raise CommandError(
                    f"{failed} failed on {where()}: {said(error)}. To see where: make migrate") from error
            write(f"{len(missing)} migrations applied to {where()}")
        connection.close()


def said(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def pending() -> list[str]:
    """The names of the migrations that the default database lacks, in order."""
    with one_line():
        executor = MigrationExecutor(connection)
        executor.loader.check_consistent_history(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


@contextmanager
def one_line() -> Iterator[None]:
    """Makes of a database that cannot be used a CommandError of one line."""
    try:
        yield
    except (DatabaseError, InconsistentMigrationHistory, OSError) as error:
        raise CommandError(f"cannot use {where()}: {said(error)}. {advice()}") from None


def explain(migrating: bool) -> None:
    """After a command that the database failed: raise CommandError, of one line, where the database cannot be reached
    or, unless the command was `migrating`, lacks migrations."""
    told: list[str] = []
    tell(told.append)
    if told and not migrating:
        raise CommandError(told[0])


def is_own() -> bool:
    """Is the default database the file that development made for itself?"""
    own = getattr(settings, "OWN_DATABASE", None)
    return own is not None and str(settings.DATABASES[DEFAULT_DB_ALIAS].get("NAME")) == str(own)


def where() -> str:
    """The default database in a few words: its file from the current folder, or its name and host."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"the database {os.path.relpath(database['NAME'])}"
    return f"the database {database['NAME']} on {database['HOST'] or 'this machine'}"


def advice() -> str:
    """What to do about a database that cannot be used."""
    if connection.vendor == "sqlite":
        return "It has to be an SQLite file, it and its folder yours to write"
    return "Start it, or set another DATABASE_URL" + (" in .env" if hasattr(settings, "OWN_DATABASE") else "")
