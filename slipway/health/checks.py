"""Checks of the site's parts (database, cache, …) for /readyz. Each check raises an exception if its part is down."""

import uuid
from functools import partial

from django.core.cache import caches
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from .. import readiness
from . import heartbeat

_migrated = False  # once True, it stays True: nobody reverts migrations under a running release


class Down(Exception):
    """The part does not work; the message says why."""


def database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def migrations() -> None:
    global _migrated  # noqa: PLW0603  once true, it stays so
    if _migrated:
        return
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        raise Down(f"{len(pending)} migrations are pending, first {pending[0][0]}")
    _migrated = True


def cache() -> None:
    """Raise Down if the cache does not return a value that was just stored."""
    key = f"readyz-{uuid.uuid4()}"
    value = uuid.uuid4().hex
    caches["default"].set(key, value, 10)
    if caches["default"].get(key) != value:
        raise Down("it lost a value just set")
    caches["default"].delete(key)


def fresh(name: str) -> None:
    """Raise Down unless the last heartbeat of `name` is recent."""
    age = heartbeat.ages()[name]
    if age is None:
        raise Down(readiness.NEVER)
    if age > heartbeat.LIMIT:
        raise Down(f"the last heartbeat is {age:.0f} s old")


worker = partial(fresh, "worker")
beat = partial(fresh, "beat")
