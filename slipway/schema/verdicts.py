"""Note what each migration changes in the database, and on Postgres whom it locks, as JSON: slipway.schema.rules judges
by it if a release works with the changed database.

The image's build runs `python -m slipway.schema.verdicts FILE`, once for each kind of database. This command applies
the migrations to an empty database beside that of TEST_DATABASE_URL, and adds to FILE what it saw, or to "failed" the
error of a database that cannot have the migrations. With NAMEs of new migrations it applies only these and what they
need, and prints the verdicts on them. docs/image.md shows FILE.
"""

import gc
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from django.db.migrations.loader import MigrationLoader

from slipway.make.verdicts import lines

from .executor import FAILED, Executor, first_line
from .routers import is_here
from .rules import Entry
from .uses import uses_of


def judge_all() -> Executor:
    """Judge all migrations: those that squashed ones replace in a database of their own. Return what did."""
    with scratch_database() as database:
        executor = Executor(database)
        executor.migrate(executor.loader.graph.leaf_nodes())
        models = filter(is_here, apps.get_models(include_auto_created=True))
        executor.uses = uses_of(models, database, executor.catalog)
    loader = executor.loader
    rest = [key for key, migration in loader.disk_migrations.items() if str(migration) not in executor.entries]
    if rest:
        with scratch_database() as database:
            older = Executor(database)
            with older.trying("what squashed ones replace"):
                older.loader = unsquashed_loader(database)
                older.migrate([leaf for leaf in older.loader.graph.leaf_nodes() if leaf[0] in {app for app, _ in rest}])
        missing: Entry = {"changes": [], "before": {}, "failed": FAILED + "the build applies one that replaces it"}
        entries = dict.fromkeys(map(".".join, rest), missing) | older.entries | executor.entries
        names = [*with_replaced(executor.entries, loader.replacements), *entries]
        executor.entries = {name: entries[name] for name in names if name in entries}
        executor.failed = older.failed | executor.failed
    return executor


def with_replaced(names: Iterable[str], replacements: Mapping[Any, Any]) -> Iterator[str]:
    """Yield these migrations, before each squashed one those that it replaces."""
    for name in names:
        squashed = replacements.get(tuple(name.split(".")))
        if squashed:
            yield from with_replaced(map(".".join, squashed.replaces), replacements)
        yield name


def judge_some(names: Iterable[str]) -> Executor:
    """Judge these migrations, such as app.0042_name, and those that they need."""
    with scratch_database() as database:
        executor = Executor(database)
        nodes = {".".join(key): key for key in executor.loader.graph.nodes}
        executor.migrate([nodes[name] for name in names if name in nodes])
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
            drop_left(cursor)
            cursor.execute(f"CREATE DATABASE {name}")
        database.close()
        settings["NAME"] = name
    try:
        yield database
    finally:
        database.creation.destroy_test_db("postgres", verbosity=0)


def drop_left(cursor: Any) -> None:
    """Drop what judges left that were killed: their processes are no more, and nobody uses their databases."""
    cursor.execute("SELECT datname FROM pg_database WHERE datname ~ '^verdicts_[0-9]{1,9}$'")
    for (name,) in cursor.fetchall():
        pid = int(name.rpartition("_")[2])
        if pid == os.getpid() or not is_running(pid):
            with suppress(DatabaseError):
                cursor.execute(f"DROP DATABASE {name}")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # else it is somebody else's
    return True


def collect_less() -> None:
    """Let Python look for garbage less often in this process. Each migration makes models anew, of thousands of
    objects: with Python's own limits, looking takes a quarter of the time."""
    gc.freeze()
    gc.set_threshold(10_000)


def main(path: Path, *names: str) -> None:
    os.environ["STORAGE_URL"] = "database:"  # judge this storage's tables too: hosts may use it
    django.setup()
    collect_less()
    content: dict[str, Any] = {"version": 3, "vendors": {}, "failed": {}}
    earlier = path.read_text() if path.exists() else ""
    content |= json.loads(earlier or "{}")
    try:
        executor = judge_some(names) if names else judge_all()
        content["vendors"][connection.vendor] = {"migrations": executor.entries, "uses": executor.uses}
        for name, error in executor.failed.items():
            print(f"no verdict for {connection.vendor} on {name}: {error}", file=sys.stderr)
    except Exception as error:  # a project may support only one of the databases
        content["failed"][connection.vendor] = first_line(error)
        print(f"no verdicts for {connection.vendor}: {first_line(error)}", file=sys.stderr)
    path.write_text(json.dumps(content, indent=1))
    for line in lines(content["vendors"], names):
        print(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
