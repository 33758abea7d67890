"""Watch whom each migration keeps waiting on Postgres, while the build applies it to empty tables: they show the same
locks, scans and new files as full ones. The database tells what a statement did, not its text."""

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypedDict

WAITS = ("nobody", "writers of the same rows", "writers", "readers and writers")
READ = "read"
CHANGED = "changed row by row"
SCANNED = "scanned"
REWRITTEN = "rewritten"  # or "indexed by …"
WHOLE = {"ShareLock": 2, "ShareRowExclusiveLock": 2, "ExclusiveLock": 2, "AccessExclusiveLock": 3}  # → index in WAITS
WRITES, READS, PICKS = "RowExclusiveLock", "AccessShareLock", "RowShareLock"  # locks of work on rows
MODES = """ARRAY(SELECT l.mode FROM pg_locks l WHERE l.relation = {}.oid AND l.locktype = 'relation' AND l.granted
AND l.pid = pg_backend_pid())"""
WRITTEN = " + ".join(f"pg_stat_get_xact_tuples_{what}({{0}}.oid)" for what in ("inserted", "updated", "deleted"))
# An index is built at once, not CONCURRENTLY, if one transaction wrote its own row and those of its columns.
INDEXES = f"""SELECT json_object_agg(x.oid::text, json_build_array('indexed ' || CASE WHEN i.indisexclusion
THEN 'for EXCLUDE' ELSE 'by ' || am.amname || CASE WHEN i.indexprs IS NULL THEN '' ELSE ' of expressions' END END,
pg_relation_filepath(x.oid), pg_stat_get_xact_numscans(x.oid), {MODES.format("x")},
EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = x.oid AND a.xmin = i.xmin)))
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i' JOIN pg_am am ON am.oid = x.relam
WHERE i.indrelid = c.oid"""
LOOK = f"""SELECT (SELECT sum({WRITTEN.format("s")}) FROM pg_class s WHERE s.oid < 16384), c.oid::bigint,
c.oid::regclass::text, c.relkind = 'm', pg_relation_filepath(c.oid), pg_stat_get_xact_numscans(c.oid),
{WRITTEN.format("c")}, {MODES.format("c")}, ({INDEXES})
FROM pg_class c WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm') AND c.relname != 'django_migrations'"""
# Errors, in a transaction, of CREATE INDEX CONCURRENTLY, VACUUM and others, and of DO and CALL that commit.
REFUSED = ("ActiveSqlTransaction", "InvalidTransactionTermination")
IDLE, INSIDE = 0, 2  # states of libpq: no transaction, and in one that has not failed
# Postgres' answers to what begins a transaction, and to code whose loops do nothing on empty tables.
BEGINS = ("BEGIN", "START TRANSACTION")
CODE = ("DO", "CALL")


class Lock(TypedDict):
    """A table that a migration locks, and the work meanwhile."""

    table: str
    waits: str  # one of WAITS, except nobody
    work: dict[str, dict[str, int]]  # table → what is done to it → how often


class Index(NamedTuple):
    """A table's index at one moment."""

    build: str  # what building it does to the table
    file: str
    scans: int
    modes: list[str]
    at_once: bool


class Table(NamedTuple):
    """A table at one moment."""

    name: str = ""
    materialized: bool = False
    file: str | None = None
    scans: int = 0
    rows: int = 0  # that this transaction has written
    modes: list[str] | tuple[str, ...] = ()  # of this session's locks on it
    indexes: Mapping[str, Index] = {}

    def waits(self, of: "Table") -> int:
        """Return who waits for it. `of`: the table before the migration; nobody waits for what is new."""
        modes = [*self.modes, *(mode for id in of.indexes.keys() & self.indexes for mode in self.indexes[id].modes)]
        return max((WHOLE.get(mode, 0) for mode in modes), default=0)

    def folder(self) -> str:
        return str(self.file).rpartition("/")[0]


class Look(NamedTuple):
    """The database at one moment."""

    catalog: int  # rows of Postgres' own tables that this transaction has written
    tables: dict[int, Table]


class Deed:
    """What a statement did to a table."""

    def __init__(self, old: Table, now: Table) -> None:
        self.new = not old.name
        self.taken = {*now.modes} - {*old.modes}
        self.held = now.modes
        self.wrote = now.rows > old.rows
        self.moved = now.file != old.file
        self.copied = self.moved and (now.materialized or now.folder() != old.folder())
        files = {index.file for index in old.indexes.values()}
        self.built = Counter(index.build for index in now.indexes.values() if index.file not in files)
        self.scans = now.scans - old.scans - self.built.total()
        indexes = [(old.indexes.get(id, index), index) for id, index in now.indexes.items()]
        self.touched = self.scans > 0 or any(index.scans > earlier.scans for earlier, index in indexes)


class Statement:
    """What a statement did, by a look before it and one after it. `large`: tables that the migration did not make.
    `code`: it was a DO block or a procedure."""

    def __init__(self, before: Look, after: Look, large: Container[int], code: bool) -> None:
        self.deeds = {id: Deed(before.tables.get(id, Table()), now) for id, now in after.tables.items()}
        deeds = self.deeds.values()
        self.defines = after.catalog > before.catalog
        self.ran = any(deed.touched and not deed.new for deed in deeds)
        self.checks = any(deed.scans > 0 and id in large for id, deed in self.deeds.items())
        self.writes = any(deed.wrote or WRITES in deed.taken for deed in deeds)
        self.fills = self.writes or any(deed.copied for deed in deeds)  # a new table is in another folder than none
        self.asks = not self.writes and (code or not self.defines)

    def work(self, id: int) -> Counter[str]:
        """Return what it did to a table, and how often."""
        deed = self.deeds[id]
        work = Counter(deed.built)
        if deed.moved:
            if not (deed.copied or deed.touched):  # TRUNCATE
                return Counter()
            work[REWRITTEN] = 1
        scans = deed.scans - deed.moved
        if kind := self.work_on_rows(deed, scans):
            work[kind] = 1
        elif scans > 0 or (self.checks and self.defines and READS in deed.taken and not deed.moved):
            work[SCANNED] = max(scans, 1)  # a new foreign key reads the other table
        return work

    def work_on_rows(self, deed: Deed, scans: int) -> str:
        """Return how it worked through a table's rows. Empty tables often end a query before it comes to its second
        table: that one is locked only. On them, Python or a DO block that shall change rows only reads."""
        if WRITES in deed.taken and self.ran and (deed.touched or not deed.wrote):  # but not INSERT … VALUES
            return CHANGED
        if WRITES in deed.held and scans > 0 and not self.defines:
            return CHANGED
        if self.ran and self.fills and not deed.moved and (READS in deed.taken or (scans > 0 and not self.defines)):
            return READ
        return CHANGED if self.asks and (deed.touched or deed.taken & {READS, PICKS}) else ""


class Watch:
    """Watches a migration on a connection. `locks`: table → lock; empty unless it is Postgres. `kept`: tables that were
    locked as a whole when a DO block or a procedure began."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.locks: dict[str, Lock] = {}
        self.kept: set[str] = set()
        self.sums: dict[tuple[str, str], Counter[str]] = {}  # (table, other) → the transaction's work on the other
        self.last: Look | None = None  # in this transaction

    @contextmanager
    def over(self) -> Iterator[None]:
        """Watch the migration that the block applies."""
        if self.connection.vendor != "postgresql":
            return (yield)
        self.tables = self.look().tables  # they were there before the migration
        with self.connection.execute_wrapper(self.execute):
            yield

    def send(self, sql: str) -> list[Any]:
        self.connection.ensure_connection()
        with self.connection.connection.cursor() as cursor:  # the driver's: Django's would call `execute` again
            cursor.execute(sql)
            return [*cursor.fetchall()] if cursor.description else []

    def state(self) -> int:
        self.connection.ensure_connection()
        return int(self.connection.connection.info.transaction_status)

    def look(self) -> Look:
        rows = self.send(LOOK)
        tables = {
            id: Table(*row, {key: Index(*index) for key, index in (indexes or {}).items()})
            for _, id, *row, indexes in rows
        }
        return Look(max((int(row[0]) for row in rows), default=0), tables)

    def execute(self, execute: Callable[..., Any], *words: Any) -> Any:
        """Execute a statement, and note what it does. Without a transaction it would leave no lock to read: give it
        one of its own, unless it refuses that."""
        state = self.state()
        if state not in (IDLE, INSIDE):  # after an error Postgres refuses all but ROLLBACK
            self.last = None
            return execute(*words)
        if state == IDLE:
            self.last, self.sums = None, {}
        if state == INSIDE or not self.connection.autocommit:
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
        self.send("BEGIN")
        try:
            yield
        except BaseException:
            self.send("ROLLBACK")
            raise
        if self.state() == INSIDE and cursor.statusmessage not in BEGINS:
            self.send("COMMIT")

    def noted(self, execute: Callable[..., Any], *words: Any) -> Any:
        before = self.last or self.look()
        result = execute(*words)
        inside = self.state() == INSIDE
        after = self.look()
        self.last = after if inside else None
        if inside:
            code = words[-1]["cursor"].statusmessage in CODE
            self.kept |= {*self.whole(before)} if code else set()
            self.note(Statement(before, after, self.tables, code), after)
        else:
            self.note_outside(before, after)
        return result

    def note(self, statement: Statement, after: Look) -> None:
        """Note the work of a statement, and who waits meanwhile."""
        names = {id: self.tables[id].name for id in self.tables.keys() & after.tables}
        work = {name: kinds for id, name in sorted(names.items()) if (kinds := statement.work(id))}
        for id, name in names.items():
            waits = after.tables[id].waits(self.tables[id])
            changed = {name: Counter([CHANGED])} if CHANGED in work.get(name, ()) else {}
            if meanwhile := work if waits else changed:
                self.add(name, max(waits, 1), meanwhile)

    def note_outside(self, before: Look, after: Look) -> None:
        """Note what has new files after a statement whose locks are gone: it had its own transactions."""
        for id in sorted(self.tables.keys() & before.tables.keys() & after.tables.keys()):
            name, old, now = self.tables[id].name, before.tables[id], after.tables[id]
            files = {index.file for index in old.indexes.values()}
            built = {id for id, index in now.indexes.items() if index.file not in files}
            again = built & old.indexes.keys()  # by REINDEX, VACUUM FULL or CLUSTER
            work = Counter(now.indexes[id].build for id in built if id in again or now.indexes[id].at_once)
            if now.file != old.file:
                work[REWRITTEN] = 1
            if work:
                self.add(name, 3 if again or REWRITTEN in work else 2, {name: work})

    def whole(self, look: Look) -> list[str]:
        return sorted(one.name for id, one in self.tables.items() if look.tables.get(id, Table()).waits(one))

    def held(self) -> list[str]:
        """Return the tables that were there before, and that the transaction keeps locked as a whole."""
        return self.whole(self.look()) if self.connection.vendor == "postgresql" else []

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
