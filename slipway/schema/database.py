"""Prepare the database for development before server, worker or beat starts."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor

from ..lasting import LockedOpen


def prepare() -> None:
    """Migrate the project's own SQLite file; not another database: other people may use it, and a half-written branch
    must not migrate it. If the database cannot be used or a migration fails, raise a CommandError of one line."""
    try:
        if is_own():
            migrate()
        else:
            pending()
    finally:
        connection.close()  # child processes open their own


def migrate() -> None:
    """Migrate the project's own SQLite file. Lock it: in a fresh clone, server, worker and beat may open it at once.
    While one switches it to WAL mode, SQLite fails in the others; two that migrate would both make the tables."""
    with one_line(), LockedOpen(Path(settings.OWN_DATABASE).with_suffix(".lock"), "a"):
        if missing := pending():
            try:
                call_command("migrate", verbosity=0, interactive=False, skip_checks=True)
            except Exception as error:
                failed = next(iter(pending()), "a migration")
                raise CommandError(
                    f"{failed} failed on {where()}: {cause_of(error)}. For the traceback: make migrate"
                ) from error
            print(f"{len(missing)} migrations applied to {where()}", file=sys.stderr, flush=True)
        connection.close()


def cause_of(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def pending() -> list[str]:
    with one_line():
        executor = MigrationExecutor(connection)
        executor.loader.check_consistent_history(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


@contextmanager
def one_line() -> Iterator[None]:
    try:
        yield
    except (DatabaseError, InconsistentMigrationHistory, OSError) as error:
        cure = "" if isinstance(error, InconsistentMigrationHistory) else f" {advice()}"
        raise CommandError(f"cannot use {where()}: {cause_of(error)}.{cure}") from None


def explain(migrating: bool) -> None:
    """Explain a command's database error: raise a CommandError if the database cannot be used or migrations are
    pending. If the command was `migrating`, ignore pending migrations."""
    if (missing := pending()) and not migrating:
        raise CommandError(f"Migrations not applied to {where()}: {', '.join(missing)}. To apply them: make migrate")


def is_own() -> bool:
    own = getattr(settings, "OWN_DATABASE", None)
    return own is not None and str(settings.DATABASES[DEFAULT_DB_ALIAS].get("NAME")) == str(own)


def where() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"the database {os.path.relpath(database['NAME'])}"
    return f"the database {database['NAME']} on {database['HOST'] or 'this machine'}"


def advice() -> str:
    if connection.vendor == "sqlite":
        return "It must be an SQLite file. You must be able to write to it and its folder"
    return "Start it, or set another DATABASE_URL" + (" in .env" if hasattr(settings, "OWN_DATABASE") else "")
