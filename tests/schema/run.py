"""Judge the cases of a part of the corpus, and find out what each really does to the live release.

Called as `python -m schema.run URL FILE.json PART`, and by hand with words of the cases' names, and "all" for PART.
"""

import json
import sys
import traceback
from contextlib import contextmanager, nullcontext

import dj_database_url
import django
from django.conf import settings
from django.db import connection, transaction


def configure(url):
    settings.configure(
        DATABASES={"default": dj_database_url.parse(url)},
        INSTALLED_APPS=["django.contrib.postgres"] if url.startswith("postgres") else [],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()


def empty():
    """Leave nothing in the database."""
    if connection.vendor == "sqlite":
        if connection.connection:
            connection.connection.close()
        connection.connection = None
        return
    with connection.cursor() as cursor:
        cursor.execute("DISCARD ALL")
        cursor.execute(
            "SELECT 'DROP SCHEMA ' || quote_ident(nspname) || ' CASCADE' FROM pg_namespace"
            " WHERE nspname !~ '^(pg_|information_schema)'"
        )
        for (drop,) in cursor.fetchall():
            cursor.execute(drop)
        cursor.execute("CREATE SCHEMA public")


class Database:
    """The database with the tables of one release, which each case has for itself."""

    base = None

    @contextmanager
    def tables_of(self, base, atomic):
        """Give the release's tables for a block. What it does is undone; if it has no transaction, by making all
        again. SQLite has no other way, as its foreign keys are switched outside of transactions."""
        if self.base is not base:
            empty()
            create(base)
            self.base = base
        if atomic and connection.vendor == "postgresql":
            with transaction.atomic():
                try:
                    yield
                finally:
                    transaction.set_rollback(True)
        else:
            self.base = None
            yield


def create(base):
    """Create the tables of a live release in an empty database."""
    from django.db.migrations.state import ProjectState

    apply(ProjectState(), base.operations)


def apply(state, operations, atomic=True):
    from schema.cases import migration

    with connection.schema_editor(atomic=atomic) as editor:
        migration(operations, atomic).apply(state.clone(), editor)


def in_another_process():
    """Lose what only the connection has. Check constraints at once, as the end of each transaction would."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("RESET ALL")
            cursor.execute("DISCARD TEMP")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            return
        cursor.execute("SELECT type, name FROM sqlite_temp_master WHERE type IN ('table', 'view', 'trigger')")
        for kind, name in cursor.fetchall():
            cursor.execute(f'DROP {kind} temp."{name}"')
        cursor.execute("PRAGMA foreign_keys = ON")


def work(release):
    release.insert_all()
    release.use_all()
    return release.outcomes


def judged(base, case):
    """Apply a case to empty tables, as a build does. Return what the build notes, and the judgement."""
    from schema.cases import migration
    from slipway.schema.executor import Executor
    from slipway.schema.rules import judge_entry
    from slipway.schema.uses import uses_of

    executor = Executor(connection)
    used = uses_of(base.models, connection, executor.catalog)
    executor.apply_migration(base.state.clone(), migration(case.operations, case.atomic))
    (entry,) = executor.entries.values()
    assert "failed" not in entry, entry
    return entry["changes"], judge_entry(entry, used)


def result(database, base, case):
    from schema.writes import Release, breaks

    line = {"name": case.name, "failed": "", "changes": [], "errors": [], "warnings": [], "breaks": []}
    try:
        if not base.outcomes:
            with database.tables_of(base, True):
                in_another_process()
                base.outcomes.update(work(Release(base.models)))
        with database.tables_of(base, case.atomic):
            line["changes"], judgement = judged(base, case)
            line["errors"], line["warnings"] = judgement.errors, judgement.warnings
            in_another_process()
            release = Release(base.models, base.outcomes)
            work(release)
            line["breaks"] = breaks(release)
        if not (case.changes_rows or line["breaks"]):
            line["breaks"] = breaks_with_old_rows(database, base, case)
    except Exception:
        line["failed"] = traceback.format_exc()
        database.base = None
    return line


def breaks_with_old_rows(database, base, case):
    """Return what breaks for rows that were there before the migration. Return [] if it refuses them: nothing is
    deployed."""
    from schema.writes import Release, breaks

    release = Release(base.models, base.outcomes)
    with database.tables_of(base, case.atomic):
        in_another_process()
        release.insert_all()
        try:
            with transaction.atomic() if case.atomic and connection.vendor == "postgresql" else nullcontext():
                apply(base.state, case.operations, case.atomic)
        except Exception:
            return []
        in_another_process()
        release.use_all(updates=False)
    return [f"old rows: {line}" for line in breaks(release)]


def main(url, path, part, *words):
    configure(url)
    from schema.cases import Base
    from schema.operations import operations
    from schema.statements import statements

    bases, results, database = {}, [], Database()
    cases = [case for case in (*operations(), *statements(connection.vendor)) if connection.vendor in case.vendors]
    for case in cases:
        if part in (case.part, "all") and all(word in case.name for word in words):
            base = bases[id(case.base)] = bases.get(id(case.base)) or Base(case.base)
            results.append(result(database, base, case))
    with open(path, "w") as file:
        json.dump({"all": len(cases), "cases": results}, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
