"""Run an application's old models on its new tables, migration after migration, in the application's virtualenv.

Called as `python -m schema.history SETTINGS URL OTHER_URL FILE.json`. One database is a migration ahead of
the other. What the models of before do in one is compared with the other; they leave nothing there. FILE gets a line
for each migration: what it broke, and Slipway's verdict on it. `plain` or `judged` as FILE only takes the time.
"""

import json
import os
import sys
import time
from contextlib import contextmanager

import dj_database_url
import django
from django.conf import settings
from django.contrib.postgres import signals
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.migrations.executor import MigrationExecutor

MARKS = """SELECT c.relname, sum(hashtextextended(r.mark, 0))::text FROM pg_class c JOIN pg_namespace n
ON n.oid = c.relnamespace JOIN (
SELECT oid id, concat(xmin, ctid, relfilenode) mark FROM pg_class
UNION ALL SELECT attrelid, concat(xmin, ctid, attnum) FROM pg_attribute
UNION ALL SELECT adrelid, concat(xmin, ctid, adnum) FROM pg_attrdef
UNION ALL SELECT conrelid, concat(xmin, ctid, oid) FROM pg_constraint
UNION ALL SELECT confrelid, concat(xmin, ctid, oid) FROM pg_constraint
UNION ALL SELECT indrelid, concat(xmin, ctid, indexrelid) FROM pg_index
UNION ALL SELECT tgrelid, concat(xmin, ctid, oid) FROM pg_trigger) r ON r.id = c.oid
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') GROUP BY c.relname"""


def set_up(module, url):
    """Start Django with an application's settings, and this database alone."""
    os.environ["DJANGO_SETTINGS_MODULE"] = module
    connections.settings = connections.configure_settings({DEFAULT_DB_ALIAS: dict(dj_database_url.parse(url))})
    settings.DATABASE_ROUTERS = []
    django.setup()


@contextmanager
def on(database):
    """Let code in the block use that database as its usual one, in a new connection: a type's number is another one in
    each database, and Django keeps those of an alias."""
    usual = connections[DEFAULT_DB_ALIAS]
    use(database)
    try:
        yield
    finally:
        use(usual)


def use(database):
    signals.get_hstore_oids.cache_clear()
    signals.get_citext_oids.cache_clear()
    database.close()
    connections[DEFAULT_DB_ALIAS] = database


def marks(database):
    with database.cursor() as cursor:
        cursor.execute(MARKS)
        return dict(cursor.fetchall())


def at_work(models, expected=None):
    """Let these models write and read. Nothing of it stays."""
    from schema.writes import Release

    release = Release(models, expected)
    with transaction.atomic():
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        release.insert_all()
        release.use_all()
        transaction.set_rollback(True)
    return release


def touched_models(state, tables):
    """Return the models of these tables, and those whose many-to-many tables they are."""
    return [
        model
        for model in state.apps.get_models()
        if model._meta.db_table in tables
        or any(field.m2m_db_table() in tables for field in model._meta.local_many_to_many)
    ]


class History:
    """Both databases, and what came out. `ahead`: Slipway's executor on the first; `behind`: the second."""

    def __init__(self, url):
        from slipway.schema.executor import Executor

        self.ahead = Executor(connections[DEFAULT_DB_ALIAS])
        self.behind = connections.create_connection(DEFAULT_DB_ALIAS)
        self.behind.settings_dict = {**self.behind.settings_dict, **dj_database_url.parse(url)}
        self.lines = []

    def run(self):
        plan = self.ahead.migration_plan(self.ahead.loader.graph.leaf_nodes(), clean_start=True)
        state = self.ahead._create_project_state()
        for migration, _ in plan:
            self.step(state, migration)

    def step(self, state, migration):
        from schema.writes import FAILED, breaks
        from slipway.schema.rules import judge_entry

        before, old = state.clone(), marks(self.ahead.connection)
        self.ahead.apply_migration(state, migration)
        entry = self.ahead.entries[str(migration)]
        new = marks(self.ahead.connection)
        models = touched_models(before, {table for table in old if new.get(table) != old[table]})
        line = {"name": str(migration), "models": len(models), "changes": entry["changes"]}
        line["errors"], line["warnings"] = judge_entry(entry, entry["before"])
        with on(self.behind):
            expected = at_work(models).outcomes
        line["cannot"] = [
            f"{step}: {what}" for step, what in expected.items() if step.endswith("insert plain") and FAILED in what
        ]
        line["steps"] = sum(not what.startswith(FAILED) for what in expected.values())
        line["breaks"] = breaks(at_work(models, expected))
        with on(self.behind), self.behind.schema_editor(atomic=migration.atomic) as editor:
            migration.apply(before, editor)
        self.lines.append(line)
        print(len(self.lines), line["name"], line["breaks"][:1], line["errors"][:1], flush=True)


def processor(action):
    """Return the seconds of this process's processor that an action takes."""
    began = time.process_time()
    action()
    return time.process_time() - began


def migrate(executor):
    executor.migrate(executor.loader.graph.leaf_nodes())


def main(module, url, other, path):
    set_up(module, url)
    if path == "plain":
        return print(processor(lambda: migrate(MigrationExecutor(connections[DEFAULT_DB_ALIAS]))))
    from slipway.schema.executor import Executor
    from slipway.schema.verdicts import collect_less

    collect_less()  # as the build does
    if path == "judged":
        return print(processor(lambda: migrate(Executor(connections[DEFAULT_DB_ALIAS]))))
    history = History(other)
    try:
        history.run()
    finally:
        with open(path, "w") as file:
            json.dump(history.lines, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
