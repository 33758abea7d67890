"""What django-migration-linter says of each migration, as JSON: `python -m slipway.schema.verdicts FILE PINS…` adds the
verdicts for the database of TEST_DATABASE_URL to FILE; with --hold it ends with 1 where those in FILE are of before.

The image's build runs it, and the image keeps the answer: {"version": 2, "of": "…", "vendors": {"postgresql":
{"app.0001_name": {"verdict": "ok", "messages": []}}, "sqlite": …}, "failed": {}}, where a verdict is ok, ignored,
warning or error. An error means that code of before cannot run on the database after; a deploy refuses those while
such code runs. "since", beside an error, names the migrations that made all the tables which it concerns: code that
knows none of them does not use those. "failed" says of a vendor why there are no verdicts, and "again", when it was
asked, where that may pass. "of" stands for all that they depend on.
"""

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import django
from django.apps import apps
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.migrations import AddField, AlterField, Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED
from django_migration_linter import MigrationLinter
from django_migration_linter.sql_analyser.analyser import analyse_sql_statements

from slipway.schema.tables import NOBODY, Tables, Told

ROOT = Path(__file__).resolve().parents[2]
VENDORS = {"postgresql", "sqlite"}  # those that a build judges for
APART = {"__pycache__", "locale", "media", "static", "templates"}  # where nothing lies that migrations read
CURES = {
    "NOT_NULL": "give it db_default=…, or null=True in this release, and NOT NULL in the next one",
    "DROP_COLUMN": "in two releases: the first no longer uses the field (null=True or db_default=… lets its code leave"
                   " it out), the next one removes it",
    "DROP_TABLE": "in two releases: the first no longer uses the model, the next one removes it",
    "RENAME_COLUMN": "keep the column by db_column=…; or in two releases: add a new one and use both, then remove the"
                     " old one",
    "RENAME_TABLE": "keep the table by Meta.db_table; or in two releases: add a new one and use both, then remove the"
                    " old one",
    "ALTER_COLUMN": "in two releases: add a column of the new type and use both, then remove the old one",
    "ADD_UNIQUE": "in two releases: the first writes no value twice, the next one adds the constraint",
    "RUNPYTHON_MODEL_IMPORT": "use apps.get_model",
}

Key = tuple[str, str]  # an app's label and the name of a migration
Sql = dict[Key, list[str]]


class Verdict(TypedDict):
    """What the linter says of a migration."""
    verdict: str
    messages: list[str]
    since: NotRequired[list[str]]


class Verdicts(MigrationLinter):
    """The linter with its findings kept instead of printed, of Django's own migrations too. It judges SQL as it is
    where all migrations before are applied: names of constraints are looked up in the database."""

    def __init__(self, sql: Sql, told: dict[Key, list[Told]]) -> None:
        super().__init__(no_cache=True)
        self.sql, self.told = sql, told
        self.migrations: dict[str, Verdict] = {}
        self.messages: list[str] = []
        self.columns: list[str] = []

    def _gather_all_migrations(self, migrations_list: Any = None) -> Iterable[Migration]:
        return self.migration_loader.disk_migrations.values()

    def get_sql(self, app_label: str, migration_name: str) -> list[str]:
        known = self.sql.get((app_label, migration_name))
        return super().get_sql(app_label, migration_name) if known is None else known

    def lint_migration(self, migration: Migration) -> None:
        """What a squashed migration replaces is not applied here, so that its SQL may not be had."""
        self.columns = not_null(migration)
        try:
            super().lint_migration(migration)
        except Exception as error:
            if breaks(error):
                raise
            self.print_linting_msg(migration.app_label, migration.name, "", None)
            self.messages.append(f"its SQL cannot be had: {first_line(error)}")
            return
        verdict = self.migrations[f"{migration.app_label}.{migration.name}"]
        if verdict["verdict"] == "error" and (since := self.since(migration)):
            verdict["since"] = since

    def since(self, migration: Migration) -> list[str]:
        """The migrations that made all the tables that its errors are about; [] where one may be about any other: in
        RunPython or RunSQL, in SQL of no form that we know, or only found in statements on several tables together."""
        key = migration.app_label, migration.name
        if key not in self.sql or self.analyse_data_migration(migration)[0]:
            return []
        found = [(self.codes(lines), makers) for lines, makers in self.told[key]]
        makers = {maker for codes, makers in found if codes for maker in makers}
        whole = self.codes(self.sql[key]) <= {code for codes, _ in found for code in codes}
        return sorted(makers) if whole and NOBODY not in makers else []

    def codes(self, sql: list[str]) -> set[str]:
        """The codes of what the linter finds in SQL."""
        return {issue.code for issue in analyse_sql_statements(self.sql_analyser_class, sql)[0]}

    def print_linting_msg(self, app_label: str, migration_name: str, msg: str, lint_result: Any) -> None:
        """Keep the verdict; what is said next belongs to it."""
        self.messages, name = [], lint_result.value if lint_result else "error"
        verdict: Verdict = {"verdict": {"ignore": "ignored"}.get(name, name), "messages": self.messages}
        self.migrations[f"{app_label}.{migration_name}"] = verdict

    def print_errors(self, errors: Iterable[Any]) -> None:
        self.messages.extend(text(issue, self.columns) for issue in errors)

    print_warnings = print_errors  # type: ignore[assignment]


class Executor(MigrationExecutor):
    """Applies migrations, and keeps the SQL of each, taken just before, and what it tells of tables."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.sql: Sql = {}
        self.told: dict[Key, list[Told]] = {}
        self.tables = Tables()

    def apply_migration(self, state: Any, migration: Any, fake: bool = False, fake_initial: bool = False) -> Any:
        """Take a migration's SQL, then apply it."""
        with self.connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
            migration.apply(state.clone(), editor, collect_sql=True)
        lines = "\n".join(editor.collected_sql).splitlines()
        whole = lines and migration.atomic and self.connection.features.can_rollback_ddl
        key = migration.app_label, migration.name
        self.sql[key] = ["BEGIN;", *lines, "COMMIT;"] if whole else lines
        self.told[key] = self.tables.told(".".join(key), lines)
        return super().apply_migration(state, migration, fake, fake_initial)


def not_null(migration: Migration) -> list[str]:
    """MODEL.COLUMN of those that a migration makes NOT NULL, without a default of the database."""
    return [f"{operation.model_name}.{operation.field.db_column or operation.name}"
            for operation in migration.operations if isinstance(operation, AddField | AlterField)
            and not operation.field.null and not operation.field.many_to_many
            and operation.field.db_default is NOT_PROVIDED]


def text(issue: Any, columns: Iterable[str] = ()) -> str:
    """An issue in a line: what, in which table and column, and how to do it otherwise. `columns`: those that are NOT
    NULL, which the linter does not know."""
    where = ".".join(part for part in (issue.table, issue.column) if part)
    where = where or issue.code == "NOT_NULL" and ", ".join(columns)
    cure = CURES.get(issue.code, "")
    return f"{issue.message}{where and f' ({where})'}{cure and f': {cure}'}"


def first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def breaks(error: BaseException) -> bool:
    """Whether it is the connection or the server that fails. SQLite, in memory, has none; it calls wrong SQL so."""
    return isinstance(error, (OperationalError, InterfaceError)) and connection.vendor != "sqlite"


def judge() -> dict[str, Verdict]:
    """name → verdict for this database, which all migrations are applied to."""
    executor = Executor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    linter = Verdicts(executor.sql, executor.told)
    linter.lint_all_migrations()
    return linter.migrations


def data() -> list[Path]:
    """What migrations may read of this project, as SQL: the files, other than modules, of all that has apps in it."""
    homes = [Path(app.path) for app in apps.get_app_configs()]
    tops = {home.relative_to(ROOT).parts[0] for home in homes if ROOT in home.parents}
    paths = {path.relative_to(ROOT) for top in tops for path in (ROOT / top).rglob("*") if path.is_file()}
    return [path for path in paths if path.suffix not in (".py", ".pyc")
            and ("migrations" in path.parts or not APART & {*path.parts})]


def depends(pins: Iterable[Path]) -> str:
    """A digest of all that verdicts depend on: the files of pins, all migrations, those modules of this project that
    they may use: all that are loaded with them, and what they may read."""
    modules = {migration.__module__ for migration in MigrationLoader(None).disk_migrations.values()}
    own = {name for name, module in sys.modules.items()
           if ROOT in Path(getattr(module, "__file__", None) or "/").parents}
    own.discard("__mp_main__")  # __main__ once more, where something loads multiprocessing, as SQLite's backend does
    files = [("", str(pin)) for pin in pins] + [(name, sys.modules[name].__file__ or "") for name in modules | own]
    files += [(str(path), str(ROOT / path)) for path in data()]
    digest = hashlib.sha256(sys.version.encode())
    for name, path in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(Path(path).read_bytes()).digest())
    return digest.hexdigest()


def read(path: Path, of: str) -> dict[str, Any]:
    """What an earlier build has found, if that depended on the same."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        if found["of"] == of:
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {"version": 2, "of": of, "vendors": {}, "failed": {}, "again": {}}


def ask(found: dict[str, Any]) -> None:
    """Add the verdicts for this database, or why there are none."""
    for outcome in ("vendors", "failed", "again"):
        found[outcome].pop(connection.vendor, None)
    try:
        found["vendors"][connection.vendor] = judge()
    except Exception as error:  # a project may well be for one of the databases alone
        found["failed"][connection.vendor] = first_line(error)
        print(f"no verdicts for {connection.vendor}: {first_line(error)}", file=sys.stderr)
        if breaks(error) or not isinstance(error, DatabaseError):  # the time: no layer of before is taken for this one
            found["again"][connection.vendor] = time.time()


def main(*words: str) -> int:
    """Add verdicts to the file; with --hold, 0 where those in it hold and 1 where not."""
    path, *pins = [Path(word) for word in words if word != "--hold"]
    os.environ["STORAGE_URL"] = "database:"  # a server may say so, of which the build knows nothing
    django.setup()
    logging.getLogger("django_migration_linter").setLevel(logging.ERROR)
    found = read(path, depends(pins))
    if "--hold" in words:
        return 0 if VENDORS <= {*found["vendors"], *found["failed"]} - {*found["again"]} else 1
    ask(found)
    path.write_text(json.dumps(found, indent=1, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
