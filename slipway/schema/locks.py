"""Whom each migration keeps waiting on Postgres, as seen while the build applies it to empty tables: they show the same
locks, scans and rewrites as full ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, NamedTuple, TypedDict

from django.db import transaction
from django.db.migrations import RunPython

NOBODY, ROWS, WRITERS, EVERYBODY = range(4)  # who waits for a lock, from the weakest on
WHO = ("nobody", "rows", "writers", "readers and writers")
WAITS = {"AccessExclusiveLock": EVERYBODY, "ExclusiveLock": WRITERS, "ShareRowExclusiveLock": WRITERS,
         "ShareLock": WRITERS}
CHANGES = "RowExclusiveLock"  # of INSERT, UPDATE and DELETE
TABLES = """SELECT c.oid::bigint, c.oid::regclass::text, pg_relation_filenode(c.oid), pg_stat_get_xact_numscans(c.oid),
array_remove(array_agg(l.mode), NULL) FROM pg_class c LEFT JOIN pg_locks l
ON l.relation = c.oid AND l.locktype = 'relation' AND l.granted AND l.pid = pg_backend_pid()
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p') AND c.relname != 'django_migrations' GROUP BY c.oid"""
REFUSES = "25001"  # SQLSTATE of CREATE INDEX CONCURRENTLY, VACUUM and others in a transaction


class Lock(TypedDict):
    """A table that a migration locks, and the tables that it works on meanwhile."""
    table: str
    waits: str  # one of WHO, except nobody
    scanned: list[str]
    rewritten: list[str]
    changed: list[str]  # tables whose rows it may change


Seen = tuple[int, set[str], set[str], set[str]]  # who waits; tables that are scanned, rewritten, changed


class Table(NamedTuple):
    name: str
    file: int
    scans: int
    waits: int
    modes: list[str]


class Watch:
    """Watches the migrations of a connection to Postgres, one after the other."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.known: dict[int, str] = {}  # tables that were there before the migration
        self.found: dict[str, Seen] = {}
        self.copies = False  # True: RunPython runs

    @contextmanager
    def over(self, migration: Any) -> Iterator[Any]:
        """Watch what the block does with the migration that it gets. Then `locks()` returns what was seen."""
        if self.connection.vendor != "postgresql":
            yield migration
            return
        self.known, self.found = {id: table.name for id, table in self.tables().items()}, {}
        watched = copy(migration)
        watched.operations = [self.watched(operation) for operation in migration.operations]
        with self.connection.execute_wrapper(self.execute):
            yield watched

    def locks(self) -> list[Lock]:
        return [{"table": name, "waits": WHO[waits], "scanned": sorted(scanned), "rewritten": sorted(rewritten),
                 "changed": sorted(changed)}
                for name, (waits, scanned, rewritten, changed) in sorted(self.found.items())]

    def tables(self) -> dict[int, Table]:
        with self.connection.connection.cursor() as cursor:  # the driver's: Django's would call `execute` again
            cursor.execute(TABLES)
            return {id: Table(name, file, scans, max([NOBODY, *(WAITS.get(mode, NOBODY) for mode in modes)]), modes)
                    for id, name, file, scans, modes in cursor.fetchall()}

    def watched(self, operation: Any) -> Any:
        if not isinstance(operation, RunPython) or operation.code is RunPython.noop:
            return operation
        operation, code = copy(operation), operation.code

        def run(*words: Any) -> None:
            self.copies = True
            try:
                code(*words)
            finally:
                self.copies = False
        operation.code = run
        return operation

    def execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Execute a statement, and note what it does. Without a transaction it would leave no lock to read: give it
        one of its own, unless it refuses that."""
        if self.connection.in_atomic_block:
            return self.noted(execute, sql, params, many, context)
        try:
            with transaction.atomic(self.connection.alias):
                return self.noted(execute, sql, params, many, context)
        except Exception as error:
            if REFUSES not in (getattr(error.__cause__, "sqlstate", ""), getattr(error.__cause__, "pgcode", "")):
                raise
        return execute(sql, params, many, context)

    def noted(self, execute: Callable[..., Any], *words: Any) -> Any:
        before = self.tables()
        result = execute(*words)
        self.compare(before, self.tables())
        return result

    def compare(self, before: dict[int, Table], after: dict[int, Table]) -> None:
        """Note what one statement did to tables, for each table that is locked after it."""
        pairs = {self.known[id]: (before[id], now) for id, now in after.items() if id in self.known}
        scanned = {name for name, (old, now) in pairs.items() if now.scans > old.scans and now.waits >= WRITERS}
        rewritten = {name for name, (old, now) in pairs.items() if now.file != old.file}
        changed = {name for name, (old, now) in pairs.items()
                   if (now.modes if self.copies else CHANGES in now.modes and CHANGES not in old.modes)}
        for name, (_, now) in pairs.items():
            if now.waits >= WRITERS and (scanned or rewritten or changed):
                self.add(name, now.waits, scanned, rewritten, changed)
            elif name in changed:
                self.add(name, ROWS, set(), set(), {name})

    def add(self, name: str, waits: int, *work: set[str]) -> None:
        before, *kept = self.found.get(name, (NOBODY, set(), set(), set()))
        scanned, rewritten, changed = (old | new for old, new in zip(kept, work, strict=True))
        self.found[name] = max(before, waits), scanned, rewritten, changed
