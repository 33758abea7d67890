"""Applies migrations one by one, and notes what each of them changes in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from typing import Any

from django.db import DatabaseError, Error, transaction
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor

from .catalog import Catalog, read_catalog
from .changes import catalog_changes
from .locks import Watch, runs_code
from .looks import Looks
from .routers import UNJUDGED, noting_refusals
from .rules import Entry, UsedColumn
from .uses import models_of, uses_of

STAYS = "{} stays locked while the code of {} runs: how long is unknown"
FAILED = "the build could not judge it: "


class Executor(MigrationExecutor):
    """Applies migrations to a database, and notes what they change (`entries`). What fails is an error of its migration
    alone (`failed`): the rest goes on."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.entries: dict[str, Entry] = {}
        self.failed: dict[str, str] = {}  # migration → its first error
        self.uses: dict[str, dict[str, UsedColumn]] = {}  # of the release, once all are applied
        self.catalog = read_catalog(connection)
        self.looks = Looks(connection)
        self.between: list[Catalog] = []  # after each operation of the migration

    def apply_migration(self, state: Any, migration: Any, *_: Any, **__: Any) -> Any:
        """Apply a migration of Django's plan, and note what it did."""
        name = str(migration)
        before = state.clone()
        self.between = []
        watch = Watch(self.looks)
        locked = watch.kept  # tables, while Python or a DO block runs
        with (
            noting_refusals() as refused,
            self.trying(name),
            watch.over(),
            self.connection.schema_editor(atomic=migration.atomic) as editor,
        ):
            for operation in migration.operations:
                if runs_code(operation) and migration.atomic:
                    locked.update(watch.held())
                self.apply_operation(state, migration, operation, editor)
            for sql in editor.deferred_sql:
                with self.trying(name, editor.atomic_migration):
                    editor.execute(sql, None)
            editor.deferred_sql = []
        with self.trying(name):
            self.recorder.record_applied(migration.app_label, migration.name)
        entry: Entry = {"changes": [], "before": {}}
        with self.trying(name):
            entry = self.entry_of(migration, before, state, watch.began or self.connection.vendor == "sqlite")
        if locked:
            entry["warnings"] = [STAYS.format(", ".join(sorted(locked)), migration.name)]
        if name in self.failed:
            entry["failed"] = FAILED + self.failed[name]
        if refused:
            entry["unjudged"] = UNJUDGED.format(", ".join(sorted(refused)))
        if watch.locks:
            entry["locks"] = [lock for _, lock in sorted(watch.locks.items())]
        self.entries[name] = entry
        return state

    def entry_of(self, migration: Migration, before: Any, after: Any, ran: bool) -> Entry:
        """Return what a migration changed, and how the models of `before` used that. `ran`: it sent a statement."""
        earlier = self.catalog
        self.catalog = read_catalog(self.connection, earlier) if ran else earlier
        changes = catalog_changes(earlier, self.catalog, self.ask, self.between)
        tables = {change["table"] for change in changes}
        used, now = (
            uses_of(models_of(state, migration.app_label, tables), self.connection, earlier)
            for state in (before, after)
        )
        touched = {name: columns for name, columns in used.items() if name in tables or now.get(name) != columns}
        return {"changes": changes, "before": touched}

    def ask(self, sql: str) -> Any:
        """Return the value of a query, None if it fails."""
        with suppress(DatabaseError), transaction.atomic(self.connection.alias), self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]
        return None

    @contextmanager
    def trying(self, name: str, atomic: bool = False) -> Iterator[None]:
        """Undo the block if it fails, and note the error of the migration. `atomic`: it is part of a transaction."""
        try:
            with transaction.atomic(self.connection.alias) if atomic else nullcontext():
                yield
        except Exception as error:
            self.failed.setdefault(name, first_line(error))
            if not self.connection.in_atomic_block:  # end a transaction that SQL of its own began
                with suppress(Error):
                    self.connection.rollback()
                self.connection.close()

    def apply_operation(self, state: Any, migration: Any, operation: Any, editor: Any) -> None:
        with_one_operation = copy(migration)
        with_one_operation.operations = [operation]
        with self.trying(str(migration), editor.atomic_migration):
            with_one_operation.apply(state, editor)
        if self.connection.vendor == "sqlite":
            with self.trying(str(migration)):
                self.between.append(read_catalog(self.connection, self.catalog))


def first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
