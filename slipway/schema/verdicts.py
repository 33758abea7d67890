"""The verdict of django-migration-linter on each migration (does old code still work after the migration?), and on
Postgres whom it locks, as JSON.

The image's build runs `python -m slipway.schema.verdicts FILE [NAME…]`. This command adds verdicts for the database of
TEST_DATABASE_URL to FILE, or to "failed" the error of a database that cannot have the migrations, and prints those on
the named migrations. docs/image.md shows FILE.
"""

import json
import logging
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import django
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, transaction
from django.db.migrations import CreateModel, DeleteModel, Migration, RemoveField, RenameModel
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django_migration_linter import MigrationLinter
from django_migration_linter.sql_analyser.analyser import analyse_sql_statements

from slipway.make.verdicts import lines

from .columns import is_harmless
from .locks import Lock, Watch
from .operations import CURES, not_null_columns, runs_code, without_reverse_sql
from .sql import dropped_names, forbidding_checks

STAYS = "{} stays locked while the code of {} runs: how long is unknown"
FAILED = "the build could not judge it: "
NOBODY = ""  # stands for an unknown migration
Key = tuple[str, str]  # an app's label and the name of a migration or model


class Verdict(TypedDict):
    """The verdict on a migration, as docs/image.md describes it."""

    verdict: str
    messages: list[str]
    since: NotRequired[list[str]]
    unused: NotRequired[list[str]]
    locks: NotRequired[list[Lock]]


class Applied(NamedTuple):
    """An operation's SQL in lines, and the migrations that created its model's table: NOBODY is one of them if they are
    unknown."""

    sql: list[str]
    makers: frozenset[str]


class Executor(MigrationExecutor):
    """Applies migrations, and judges them (`verdicts`) by the SQL that Django executes. What fails is an error of its
    migration alone (`failed`): the rest goes on."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.linter = MigrationLinter(no_cache=True)
        self.verdicts: dict[str, Verdict] = {}
        self.failed: dict[str, str] = {}  # migration → its first error
        self.unused: dict[tuple[str, str], str] = {}  # (table, column or "") → migration since which no model has it
        self.makers: dict[Key, set[str]] = {}  # model → migrations that created it, even if others delete it

    def apply_migration(self, state: Any, migration: Any, *_: Any, **__: Any) -> Any:
        """Apply a migration of Django's plan, and judge it."""
        name = str(migration)
        watch = Watch(self.connection)
        applied: list[Applied] = []
        locked: set[str] = set()  # tables, while Python or a DO block runs
        with self.trying(name), watch.over(), self.connection.schema_editor(atomic=migration.atomic) as editor:
            for operation in migration.operations:
                if runs_code(operation) and migration.atomic:
                    locked.update(watch.held())
                applied.append(self.apply_operation(state, migration, operation, editor))
            deferred = editor.deferred_sql
            editor.deferred_sql = []
            for sql in deferred:
                with self.trying(name, editor.atomic_migration):
                    editor.execute(sql, None)
        self.recorder.record_applied(migration.app_label, migration.name)
        with self.trying(name):
            self.verdicts[name] = self.judge(migration, applied)
        self.complete_verdict(migration, locked)
        if watch.locks:
            self.verdicts[name]["locks"] = [lock for _, lock in sorted(watch.locks.items())]
        return state

    def complete_verdict(self, migration: Migration, locked: Collection[str]) -> None:
        """Add to a migration's verdict what its SQL does not show: tables that stay `locked` while its Python runs, and
        the error with which it failed."""
        name = str(migration)
        verdict = self.verdicts.setdefault(name, {"verdict": "error", "messages": []})
        if verdict["verdict"] == "ignored":
            return
        if locked:
            verdict["messages"].append(STAYS.format(", ".join(sorted(locked)), migration.name))
            if verdict["verdict"] == "ok":
                verdict["verdict"] = "warning"
        if error := self.failed.get(name):
            self.verdicts[name] = {"verdict": "error", "messages": [FAILED + error, *verdict["messages"]]}

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

    def apply_operation(self, state: Any, migration: Any, operation: Any, editor: Any) -> Applied:
        """Apply an operation to `state` and the database. Return what the editor has executed, and will at its end."""
        app = migration.app_label
        with_one_operation = copy(migration)
        with_one_operation.operations = [operation]
        lines: list[str] = []
        earlier = [*editor.deferred_sql]
        execute = editor.execute
        harmless = is_harmless(self.connection, state, app, operation)
        self.note_unused(str(migration), state, app, operation)

        def execute_and_note(sql: Any, params: Any = ()) -> None:
            if sql not in earlier:
                lines.extend(str(sql).splitlines())
            execute(sql, params)

        editor.execute = execute_and_note
        with self.trying(str(migration), editor.atomic_migration):
            with_one_operation.apply(state, editor)
        editor.execute = execute
        for sql in editor.deferred_sql:
            if sql not in earlier:
                lines.extend(str(sql).splitlines())
        if harmless:  # to the linter, each new TYPE is an error, and each NOT NULL of SQLite's copy
            lines = [line.replace(" TYPE ", " ").replace(" NOT NULL", "") for line in lines]
        return Applied(lines, self.makers_of((app, migration.name), operation))

    def judge(self, migration: Migration, applied: Sequence[Applied]) -> Verdict:
        """Return the linter's verdict on the SQL of a migration and on its Python."""
        if self.linter.should_ignore_migration(migration.app_label, migration.name, migration.operations):
            return {"verdict": "ignored", "messages": []}
        sql = [line for operation in applied for line in operation.sql]
        if sql and migration.atomic and self.connection.features.can_rollback_ddl:
            sql = ["BEGIN;", *sql, "COMMIT;"]
        errors, warnings = self.issues(sql)
        errors_of_data, _, warnings_of_data = self.linter.analyse_data_migration(without_reverse_sql(migration))
        errors += errors_of_data
        warnings += warnings_of_data
        columns = [
            column
            for operation, (own_sql, _) in zip(migration.operations, applied, strict=True)
            if "NOT_NULL" in self.error_codes(own_sql)
            for column in not_null_columns(operation)
        ]
        verdict: Verdict = {
            "verdict": "error" if errors else "warning" if warnings else "ok",
            "messages": [issue_text(issue, columns) for issue in (*errors, *warnings)],
        }
        codes = {issue.code for issue in errors}
        if errors and not errors_of_data and (since := self.since(applied, codes)):
            verdict["since"] = since
        if codes <= {"DROP_COLUMN", "DROP_TABLE"} and (unused := self.unused_since(sql)):
            verdict["unused"] = unused
            verdict["messages"].append(f"no harm once a release with {', '.join(unused)} is live")
        return verdict

    def unused_since(self, sql: list[str]) -> list[str]:
        """Return the migrations since which no model has what this SQL drops; [] if it drops nothing, or if a model of
        the release before may still have a part of it."""
        dropped = [
            self.unused.get(name)
            for line in sql
            if "DROP COLUMN" in line or line.startswith("DROP TABLE")
            for name in dropped_names(line)
        ]
        return sorted({name for name in dropped if name}) if all(dropped) else []

    def note_unused(self, name: str, state: Any, app: str, operation: Any) -> None:
        """Note what only the models lose, as the first of two releases does before the next one drops it."""
        for inner in getattr(operation, "state_operations", None) or ():
            model = getattr(inner, "model_name", "") or getattr(inner, "name", "")
            if isinstance(inner, RemoveField | DeleteModel) and (model_state := state.models.get((app, model.lower()))):
                table = model_state.options.get("db_table") or f"{app}_{model.lower()}"
                column = ""
                if isinstance(inner, RemoveField):
                    if not (field := model_state.fields.get(inner.name)):  # made or renamed by this operation itself
                        continue
                    column = field.db_column or (f"{inner.name}_id" if field.is_relation else inner.name)
                self.unused[table, column] = name

    def since(self, applied: Iterable[Applied], wrong: set[str]) -> list[str]:
        """Return the migrations that created the tables of a migration's errors, whose codes are `wrong`. A release
        without these migrations is safe: it does not use the tables. Return [] if the tables are unknown."""
        by_operation = [(self.error_codes(sql), makers) for sql, makers in applied]
        makers = {maker for codes, makers in by_operation if codes for maker in makers}
        are_all_found = wrong <= {code for codes, _ in by_operation for code in codes}
        return sorted(makers) if are_all_found and NOBODY not in makers else []

    def issues(self, sql: list[str]) -> tuple[list[Any], list[Any]]:
        """Return the errors and the warnings of SQL."""
        errors, _, warnings = analyse_sql_statements(self.linter.sql_analyser_class, sql)
        return [*errors, *forbidding_checks(sql)], [*warnings]

    def error_codes(self, sql: list[str]) -> set[str]:
        return {issue.code for issue in self.issues(sql)[0]}

    def makers_of(self, key: Key, operation: Any) -> frozenset[str]:
        """Return the migrations that created the table of an operation's model. They are unknown for SQL of one's own,
        and for a model that only the state got, or that Django does not manage: its table may be an older one."""
        model = key[0], (getattr(operation, "model_name", "") or getattr(operation, "name", "")).lower()
        if isinstance(operation, CreateModel) and operation.options.get("managed", True):
            self.makers.setdefault(model, set()).add(".".join(key))
        makers = frozenset(self.makers.get(model, {NOBODY}))
        if isinstance(operation, RenameModel):
            self.makers.setdefault((key[0], operation.new_name_lower), set()).update(makers)
        return makers


def issue_text(issue: Any, columns: Iterable[str] = ()) -> str:
    """Return the linter's issue and a cure in one line. For a NOT NULL issue, add `columns`: the linter omits them."""
    where = ".".join(part for part in (issue.table, issue.column) if part)
    where = where or ", ".join(columns if issue.code == "NOT_NULL" else ())
    cure = CURES.get(issue.code, "")
    return f"{issue.message}{where and f' ({where})'}{cure and f': {cure}'}"


def first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def judge_all() -> Executor:
    """Judge all migrations: those that squashed ones replace in a database of their own. Return what did."""
    with scratch_database() as database:
        executor = Executor(database)
        executor.migrate(executor.loader.graph.leaf_nodes())
    loader = executor.loader
    rest = [key for key, migration in loader.disk_migrations.items() if str(migration) not in executor.verdicts]
    if rest:
        with scratch_database() as database:
            older = Executor(database)
            with older.trying("what squashed ones replace"):
                older.loader = unsquashed_loader(database)
                older.migrate([leaf for leaf in older.loader.graph.leaf_nodes() if leaf[0] in {app for app, _ in rest}])
        missing: Verdict = {"verdict": "error", "messages": [FAILED + "the build applies one that replaces it"]}
        executor.verdicts = {".".join(key): missing for key in rest} | older.verdicts | executor.verdicts
        executor.failed = older.failed | executor.failed
    return executor


def unsquashed_loader(database: Any) -> MigrationLoader:
    """Return a loader of what a database that has a part of a squashed migration gets."""
    loader = MigrationLoader(database, replace_migrations=False)
    for key, migration in loader.replacements.items():
        if loader.disk_migrations.keys() >= {*migration.replaces}:
            loader.graph.remove_replacement_node(key, migration.replaces)
    return loader


@contextmanager
def scratch_database() -> Iterator[Any]:
    """Give an empty database for the block: that of the URL may be somebody's. All aliases are this one, as replicas
    are, and others do not answer here."""
    database = connections.create_connection(DEFAULT_DB_ALIAS)
    name = f"verdicts_{os.getpid()}"
    settings = database.settings_dict
    settings["NAME"] = ":memory:" if database.vendor == "sqlite" else "postgres"
    for alias in connections:
        connections[alias] = database
    if database.vendor != "sqlite":
        with database.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        database.close()
        settings["NAME"] = name
    try:
        yield database
    finally:
        database.creation.destroy_test_db("postgres", verbosity=0)


def main(path: Path, *names: str) -> None:
    os.environ["STORAGE_URL"] = "database:"  # judge this storage's tables too: hosts may use it
    django.setup()
    logging.getLogger("django_migration_linter").setLevel(logging.ERROR)
    content: dict[str, Any] = {"version": 2, "vendors": {}, "failed": {}}
    earlier = path.read_text() if path.exists() else ""
    content |= json.loads(earlier or "{}")
    try:
        executor = judge_all()
        content["vendors"][connection.vendor] = executor.verdicts
        for name, error in executor.failed.items():
            print(f"no verdict for {connection.vendor} on {name}: {error}", file=sys.stderr)
    except Exception as error:  # a project may support only one of the databases
        content["failed"][connection.vendor] = first_line(error)
        print(f"no verdicts for {connection.vendor}: {first_line(error)}", file=sys.stderr)
    path.write_text(json.dumps(content, indent=1, sort_keys=True))
    for line in lines(content["vendors"], names):
        print(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
