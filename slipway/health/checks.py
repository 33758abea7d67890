"""The parts that /readyz asks. Each function returns when its part is up and raises when it is not."""

import uuid
from functools import partial

from django.core.cache import caches
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from .. import heartbeat, readiness

_migrated = False  # once seen, never asked again: migrations are not taken back under a running release


class Down(Exception):
    """A part that answers, and says that it is not fit for use."""


def database() -> None:
    """Down unless it answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def migrations() -> None:
    """Down while the database lacks a migration that this release has."""
    global _migrated
    if _migrated:
        return
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        raise Down("pending: " + ", ".join(str(migration) for migration, _ in pending))
    _migrated = True


def cache() -> None:
    """Down unless it gives back what it was given."""
    key, value = f"readyz-{uuid.uuid4()}", uuid.uuid4().hex
    caches["default"].set(key, value, 10)
    if caches["default"].get(key) != value:
        raise Down("it lost a value just set")
    caches["default"].delete(key)


def fresh(name: str) -> None:
    """Down unless the heartbeat of that name is recent. worker and beat share one look at the database."""
    ages = readiness.value("heartbeats", "slipway.heartbeat.ages")
    if ages is None:
        raise Down("the database does not answer")
    age = ages[name]
    if age is None:
        raise Down(readiness.NEVER)
    if age > heartbeat.LIMIT:
        raise Down(f"the last heartbeat is {age:.0f} s old")


worker, beat = partial(fresh, "worker"), partial(fresh, "beat")
