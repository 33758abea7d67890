"""Watch whom each migration keeps waiting on Postgres, while the build applies it to empty tables: they show the same
locks, scans and new files as full ones. The database tells what a statement did, not its text."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypedDict

from django.db.migrations import RunPython

from .looks import IDLE, INSIDE, Look, Looks, Relation

WAITS = ("nobody", "writers of the same rows", "writers", "readers and writers")
READ = "read"
CHANGED = "changed row by row"
SCANNED = "scanned"
REWRITTEN = "rewritten"  # or "indexed by …"
WHOLE = {"ShareLock": 2, "ShareRowExclusiveLock": 2, "ExclusiveLock": 2, "AccessExclusiveLock": 3}  # → index in WAITS
WRITES, READS, PICKS = "RowExclusiveLock", "AccessShareLock", "RowShareLock"  # locks of work on rows
# Indexes that were not built CONCURRENTLY: one transaction wrote their own row and those of their columns.
AT_ONCE = """SELECT i.indexrelid::bigint FROM pg_index i JOIN pg_attribute a
ON a.attrelid = i.indexrelid AND a.attnum = 1 AND a.xmin = i.xmin"""
# Errors, in a transaction, of CREATE INDEX CONCURRENTLY, VACUUM and others, and of DO and CALL that commit.
REFUSED = ("ActiveSqlTransaction", "InvalidTransactionTermination")
# Postgres' answers to what begins a transaction, and to code whose loops do nothing on empty tables.
BEGINS = ("BEGIN", "START TRANSACTION")
CODE = ("DO", "CALL")
BACK = "ROLLBACK"
# Django's own statements, two for each operation, lock nothing, so no look is needed. Others' savepoints get a look.
MARK = re.compile(r'(RELEASE )?SAVEPOINT "\w+"')


class Lock(TypedDict):
    """A table that a migration locks, and the work meanwhile."""

    table: str
    waits: str  # one of WAITS, except nobody
    work: dict[str, dict[str, int]]  # table → what is done to it → how often


class Deed:
    """The work of a statement on one table."""

    def __init__(self, id: int, before: Look, after: Look) -> None:
        now, old = after.here[id], before.relation(id)
        self.taken = {*after.held[id]} - {*before.held.get(id, ())}
        self.moved = now.file != old.file
        self.copied = self.moved and (now.materialized or now.folder() != old.folder())
        self.wrote = now.rows > old.rows
        self.scans = now.scans - old.scans
        self.built: Counter[str] = Counter()
        self.searched = False

    def add(self, index: Relation, old: Relation, is_built: bool) -> None:
        """Add what happened to an index: building it scans the table once."""
        self.searched = self.searched or index.scans > old.scans
        if is_built:
            self.built[index.build] += 1
            self.scans -= 1

    def touched(self) -> bool:
        return self.searched or self.scans > 0


class Statement:
    """The work of a statement, by a look before it and one after it. `files`: of all that was there. `large`: tables
    that the migration did not make. `code`: it was a DO block or a procedure."""

    def __init__(
        self, before: Look, after: Look, files: Container[str | None], large: Container[int], code: bool
    ) -> None:
        self.deeds = {id: Deed(id, before, after) for id in after.held if not after.here[id].build}
        for id in after.held:
            index = after.here[id]
            if index.build and index.table in self.deeds:
                self.deeds[index.table].add(index, before.relation(id), index.file not in files)
        deeds = self.deeds.values()
        self.defines = after.catalog > before.catalog
        self.ran = any(deed.touched() for deed in deeds)
        self.checks = any(deed.scans > 0 and id in large for id, deed in self.deeds.items())
        self.writes = any(deed.wrote or WRITES in deed.taken for deed in deeds)
        self.fills = self.writes or any(deed.copied for deed in deeds)  # a new table is in another folder than none
        self.asks = not self.writes and (code or not self.defines)

    def work(self, id: int) -> Counter[str]:
        """Return what it did to a table, and how often."""
        deed = self.deeds[id]
        if deed.moved and not deed.copied and not deed.touched():  # TRUNCATE
            return Counter()
        work = deed.built + Counter({REWRITTEN: int(deed.moved)})
        scans = deed.scans - deed.moved  # a rewrite scans, too
        if kind := self.work_on_rows(deed, scans):
            work[kind] = 1
        elif scans > 0 or (self.defines and self.checks and READS in deed.taken and not deed.moved):
            work[SCANNED] = max(scans, 1)  # a new foreign key also reads the other table
        return work

    def work_on_rows(self, deed: Deed, scans: int) -> str:
        """Return how it worked through a table's rows. Empty tables often end a query before it comes to its second
        table: that one is locked only. On them, Python or a DO block that shall change rows only reads."""
        if WRITES in deed.taken and self.ran and (deed.touched() or not deed.wrote):  # but not INSERT … VALUES
            return CHANGED
        if self.ran and self.fills and not deed.moved and (READS in deed.taken or (scans > 0 and not self.defines)):
            return READ
        return CHANGED if self.asks and (deed.touched() or deed.taken & {READS, PICKS}) else ""


class Watch:
    """Watches a migration through `looks`. `locks`: table → lock; empty unless it is Postgres. `kept`: tables that were
    locked as a whole when a DO block or a procedure began."""

    def __init__(self, looks: Looks) -> None:
        self.looks = looks
        self.locks: dict[str, Lock] = {}
        self.kept: set[str] = set()
        self.large: Mapping[int, Relation] = {}  # what was there before the migration
        self.began = False
        self.sums: dict[tuple[str, str], Counter[str]] = {}  # (table, other) → this transaction's work on the other
        self.last: Look | None = None  # in this transaction

    @contextmanager
    def over(self) -> Iterator[None]:
        """Watch the migration that the block applies."""
        connection = self.looks.connection
        if connection.vendor != "postgresql":
            return (yield)
        with connection.execute_wrapper(self.execute):
            yield

    def execute(self, execute: Callable[..., Any], *words: Any) -> Any:
        """Execute a statement, and note what it does. Without a transaction it would leave no lock to read: give it
        one of its own, unless it refuses that."""
        state = self.looks.state()
        if state not in (IDLE, INSIDE):  # after an error Postgres refuses all but ROLLBACK
            self.last = None
            return execute(*words)
        if state == IDLE:
            self.last, self.sums = None, {}
        if isinstance(words[0], str) and MARK.fullmatch(words[0]):
            return execute(*words)
        if state == INSIDE or not self.looks.connection.autocommit:
            return self.noted(execute, *words)
        try:
            with self.transaction(words[-1]["cursor"]):
                return self.noted(execute, *words)
        except Exception as error:
            if type(error.__cause__).__name__ not in REFUSED:
                raise
        return self.noted(execute, *words)

    @contextmanager
    def transaction(self, cursor: Any) -> Iterator[None]:
        """Begin a transaction for a statement, and commit it, unless the statement itself begins or ends one."""
        self.looks.send("BEGIN")
        try:
            yield
        except BaseException:
            self.looks.send("ROLLBACK")
            raise
        if self.looks.state() == INSIDE and cursor.statusmessage not in BEGINS:
            self.looks.send("COMMIT")

    def noted(self, execute: Callable[..., Any], *words: Any) -> Any:
        before, self.last = self.last or self.looks.begin(), None
        if not self.began:
            self.large, self.began = before.relations(), True
        if self.looks.state() == IDLE:
            self.looks.changed = None
        result = execute(*words)
        tag = words[-1]["cursor"].statusmessage
        if self.looks.state() != INSIDE:
            self.note_files(before.relations())
        elif tag != BACK:  # after which what was locked and built is no more
            self.last = self.looks.again(before)
            code = tag in CODE
            self.kept |= {self.large[id].name for id in self.waits(before)} if code else set()
            if self.large.keys() & self.last.held.keys():
                statement = Statement(before, self.last, self.looks.files, self.large, code)
                self.note(statement, self.waits(self.last))
        return result

    def note(self, statement: Statement, waits: Mapping[int, int]) -> None:
        """Note the work of a statement, and who waits meanwhile: table → index in WAITS."""
        ids = sorted(self.large.keys() & statement.deeds.keys())
        work = {self.large[id].name: kinds for id in ids if (kinds := statement.work(id))}
        for id in ids:
            name = self.large[id].name
            changed = {name: Counter([CHANGED])} if CHANGED in work.get(name, ()) else {}
            if meanwhile := work if id in waits else changed:
                self.add(name, waits.get(id, 1), meanwhile)

    def note_files(self, before: Mapping[int, Relation]) -> None:
        """Note which files are new after a statement that had transactions of its own: its locks are gone."""
        files = {one.file for one in before.values()}
        self.looks.changed = None
        at_once = {id for (id,) in self.looks.send(AT_ONCE)}
        for id, now in sorted(self.looks.begin().here.items()):
            if now.table in self.large and now.file not in files and id in before.keys() | at_once:
                name = self.large[now.table].name
                self.add(name, 3 if id in before else 2, {name: Counter([now.build or REWRITTEN])})

    def waits(self, look: Look) -> dict[int, int]:
        """Return the tables that were there before, and that the transaction keeps locked as a whole: → index in
        WAITS. Who reads a table also locks its indexes."""
        waits: dict[int, int] = {}
        for id in look.held.keys() & self.large.keys():
            if wait := max(WHOLE.get(mode, 0) for mode in look.held[id]):
                table = self.large[id].table
                waits[table] = max(wait, waits.get(table, 0))
        return waits

    def held(self) -> list[str]:
        """Return the names of these tables."""
        if not self.began or self.looks.state() != INSIDE:
            return []
        self.last = self.last or self.looks.begin()
        return sorted(self.large[id].name for id in self.waits(self.last))

    def add(self, table: str, waits: int, work: Mapping[str, Counter[str]]) -> None:
        """Add work during which a table is locked. One transaction's work is added up, but the locks end with it."""
        lock = self.locks.setdefault(table, {"table": table, "waits": WAITS[waits], "work": {}})
        lock["waits"] = max(lock["waits"], WAITS[waits], key=WAITS.index)
        for other, kinds in work.items():
            sums = self.sums.setdefault((table, other), Counter())
            sums.update(kinds)
            for kind in {READ, CHANGED} & sums.keys():
                sums[kind] = 1  # its time is unknown
            lock["work"][other] = dict(Counter(lock["work"].get(other, {})) | sums)


def runs_code(operation: Any) -> bool:
    """Return True for Python, whose work on rows a run on empty tables does not show."""
    return any(
        isinstance(inner, RunPython) and inner.code is not RunPython.noop
        for inner in getattr(operation, "database_operations", [operation])
    )
