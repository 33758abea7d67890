"""Watch whom each migration keeps waiting on Postgres, while the build applies it to empty tables: they show the same
locks, scans and rewrites as full ones."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypedDict

from django.db import transaction

WAITS = ("nobody", "writers of the same rows", "writers", "readers and writers")
READ = "read"
CHANGED = "changed row by row"
WORK = ("scanned", "rewritten", READ, CHANGED)  # the slowest last
WHOLE = {"ShareLock": 2, "ShareRowExclusiveLock": 2, "ExclusiveLock": 2, "AccessExclusiveLock": 3}  # → index in WAITS
TABLES = """SELECT c.oid::bigint, c.oid::regclass::text, pg_relation_filenode(c.oid), pg_stat_get_xact_numscans(c.oid),
array_agg(l.mode) FROM pg_class c LEFT JOIN pg_locks l
ON l.relation = c.oid AND l.locktype = 'relation' AND l.granted AND l.pid = pg_backend_pid()
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm') AND c.relname != 'django_migrations' GROUP BY c.oid"""
# Errors, in a transaction, of CREATE INDEX CONCURRENTLY, VACUUM and others, and of DO and CALL that commit.
REFUSED = ("ActiveSqlTransaction", "InvalidTransactionTermination")
CONTROL = re.compile(r"\s*(ABORT|BEGIN|COMMIT|END|RELEASE|ROLLBACK|SAVEPOINT|START)\b", re.I)  # locks no table
# What works through the tables from which it reads, however many statements one string has.
READS = re.compile(
    r"(?<!\bON )\b(INSERT|UPDATE|DELETE|MERGE|REFRESH)\b|"
    r"\b(TABLE|MATERIALIZED\s+VIEW)\b[^;]*\bAS\s*\(?\s*(SELECT|WITH|TABLE)\b",
    re.I,
)
TRUNCATES = re.compile(r"^(?!.*\b(ALTER|CLUSTER|REFRESH)\b).*\bTRUNCATE\b", re.I | re.S)
IDLE = 0  # state of libpq: no transaction


class Lock(TypedDict):
    """A table that a migration locks, and its work meanwhile."""

    table: str
    waits: str  # one of WAITS, except nobody
    work: dict[str, str]  # table → one of WORK


class Table(NamedTuple):
    """A table's file, scans and locks at one moment."""

    name: str
    file: int
    scans: int
    modes: list[str | None]  # of this session's locks on it

    def waits(self) -> int:
        return max(WHOLE.get(mode or "", 0) for mode in self.modes)


class Watch:
    """Watches a migration on a connection. `locks`: table → lock; empty unless it is Postgres."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.locks: dict[str, Lock] = {}

    @contextmanager
    def over(self) -> Iterator[None]:
        """Watch the migration that the block applies."""
        if self.connection.vendor != "postgresql":
            return (yield)
        self.tables_before = {
            id: table.name for id, table in self.tables().items()
        }  # they were there before the migration
        with self.connection.execute_wrapper(self.execute):
            yield

    def tables(self) -> dict[int, Table]:
        with self.connection.connection.cursor() as cursor:  # the driver's: Django's would call `execute` again
            cursor.execute(TABLES)
            return {id: Table(*row) for id, *row in cursor.fetchall()}

    def execute(self, execute: Callable[..., Any], sql: Any, *params: Any) -> Any:
        """Execute a statement, and note what it does. Without a transaction it would leave no lock to read: give it
        one of its own, unless it refuses that."""
        if CONTROL.match(str(sql)):
            return execute(sql, *params)
        if self.connection.connection.info.transaction_status != IDLE:
            return self.noted(execute, sql, *params)
        try:
            with transaction.atomic(self.connection.alias):
                return self.noted(execute, sql, *params)
        except Exception as error:
            if type(error.__cause__).__name__ not in REFUSED:
                raise
        return execute(sql, *params)

    def noted(self, execute: Callable[..., Any], *words: Any) -> Any:
        before = self.tables()
        result = execute(*words)
        after = {
            self.tables_before[id]: (before.get(id, now), now)
            for id, now in self.tables().items()
            if id in self.tables_before
        }
        work = {table: kind for table, pair in after.items() if (kind := self.work(*pair, str(words[0])))}
        for table, (_, now) in after.items():
            waits = now.waits()
            meanwhile = work if waits else {table: CHANGED} if work.get(table) == CHANGED else {}
            if meanwhile:
                self.add(table, WAITS[max(waits, 1)], meanwhile)
        return result

    def held(self) -> list[str]:
        """Return the tables that were there before, and that the transaction keeps locked as a whole."""
        if self.connection.vendor != "postgresql":
            return []
        return sorted(table.name for id, table in self.tables().items() if id in self.tables_before and table.waits())

    def work(self, old: Table, now: Table, sql: str) -> str:
        """Return what a statement did to a table. The first INSERT, UPDATE or DELETE takes a RowExclusiveLock; on empty
        tables, Python that shall change rows only reads. TRUNCATE makes a new file, too, but an empty one."""
        scanned = now.scans > old.scans
        locks = {*now.modes} - {*old.modes}
        again = scanned and "RowExclusiveLock" in now.modes
        reads = sql.lstrip()[:6].upper() == "SELECT"
        if "RowExclusiveLock" in locks or again or (reads and (scanned or locks)):
            return CHANGED
        if now.file != old.file:
            return "" if TRUNCATES.search(sql) else "rewritten"
        if "AccessShareLock" in locks and READS.search(sql):
            return READ
        return "scanned" if scanned and now.waits() else ""

    def add(self, table: str, waits: str, work: dict[str, str]) -> None:
        lock = self.locks.setdefault(table, {"table": table, "waits": waits, "work": {}})
        lock["waits"] = max(lock["waits"], waits, key=WAITS.index)
        for other, kind in work.items():
            lock["work"][other] = max(kind, lock["work"].get(other, kind), key=WORK.index)
