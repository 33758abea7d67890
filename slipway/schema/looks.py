"""Look at what a session on Postgres has locked, built, scanned and written: its catalog and its statistics tell."""

from itertools import count
from typing import Any, NamedTuple

IDLE, INSIDE = 0, 2  # states of libpq: no transaction, and in one that has not failed
WRITTEN = " + ".join(f"pg_stat_get_xact_tuples_{what}(c.oid)" for what in ("inserted", "updated", "deleted"))
# What a transaction works on it locks until its end: `{condition}` is about `held`.
LOOK = """WITH held AS MATERIALIZED (SELECT relation, array_agg(mode) AS modes FROM pg_locks
WHERE locktype = 'relation' AND granted AND pid = pg_backend_pid() GROUP BY relation)
SELECT * FROM (SELECT sum({written})::bigint FROM unnest('{catalogs}'::oid[]) c(oid)) AS own
LEFT JOIN (SELECT c.oid::bigint, held.modes, coalesce(i.indrelid, c.oid)::bigint, CASE WHEN am.amtype = 'i' THEN ''
ELSE c.oid::regclass::text END, CASE WHEN am.amtype = 'i' THEN 'indexed ' || CASE WHEN i.indisexclusion
THEN 'for EXCLUDE' ELSE 'by ' || am.amname || CASE WHEN i.indexprs IS NULL THEN '' ELSE ' of expressions' END END
ELSE '' END, c.relkind = 'm', pg_relation_filepath(c.oid), pg_stat_get_xact_numscans(c.oid), {written}
FROM pg_class c LEFT JOIN held ON held.relation = c.oid LEFT JOIN pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_am am ON am.oid = c.relam WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm', 'i')
AND c.relnamespace != 'pg_toast'::regnamespace
AND coalesce(i.indrelid, c.oid) IS DISTINCT FROM (SELECT to_regclass('django_migrations'))
AND {condition}) AS c ON TRUE"""
CATALOGS = "SELECT array_agg(oid::int)::text FROM pg_class WHERE oid < 16384 AND relkind = 'r'"
CONDITIONS = {  # Postgres counts on from transactions before
    ("locked", ""): "c.oid = ANY (ARRAY(SELECT relation FROM held))",  # by the index: a join would look at all
    ("changed", "(oid[])"): f"($1 IS NULL OR c.oid = ANY($1) OR pg_stat_get_xact_numscans(c.oid) + {WRITTEN} > 0)",
}
NUMBERS = count()  # of prepared statements


class Relation(NamedTuple):
    """A table or an index at one moment."""

    table: int
    name: str = ""
    build: str = ""  # what building the index does to its table
    materialized: bool = False
    file: str | None = None
    scans: int = 0
    rows: int = 0  # that this transaction has written

    def folder(self) -> str:
        return str(self.file).rpartition("/")[0]


class Look(NamedTuple):
    """The database at one moment."""

    catalog: int  # rows of Postgres' own tables that this transaction has written
    here: dict[int, Relation]  # by oid: what this transaction has locked
    held: dict[int, list[str]]  # by oid: modes of this session's locks
    known: dict[int, Relation]  # as the transaction began

    def relation(self, id: int) -> Relation:
        return self.here.get(id) or self.known.get(id) or Relation(id)

    def relations(self) -> dict[int, Relation]:
        return {**self.known, **self.here}


class Looks:
    """Looks through a connection, and knows from one transaction to the next what is there: looking at all takes
    long."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.known: dict[int, Relation] = {}
        self.files: set[str | None] = set()  # of all that was there
        self.changed: set[int] | None = None  # what to look at when a transaction begins; None: all
        self.prepared: Any = None  # the driver's connection that has the statements of `number`
        self.number = 0

    def send(self, sql: str) -> list[Any]:
        with self.driver().cursor() as cursor:  # Django's would call what watches statements
            cursor.execute(sql)
            return [*cursor.fetchall()] if cursor.description else []

    def driver(self) -> Any:
        self.connection.ensure_connection()  # a migration may have closed it
        return self.connection.connection

    def state(self) -> int:
        return int(self.driver().info.transaction_status)

    def begin(self) -> Look:
        """Look at what has changed since the last transaction began, whether it was committed or not."""
        ids = "NULL" if self.changed is None else f"'{{{','.join(map(str, self.changed))}}}'"
        look = self.look("changed", f"({ids})")
        self.known.update((id, relation._replace(scans=0, rows=0)) for id, relation in look.here.items())
        self.files.update(relation.file for relation in look.here.values())
        self.changed = {*look.held}
        return look

    def again(self, before: Look) -> Look:
        """Look at what this transaction has locked since it began. `before`: the last look in it."""
        self.files.update(relation.file for relation in before.here.values())
        look = self.look("locked")
        self.changed = (self.changed or set()) | look.held.keys()
        return look._replace(here={**before.here, **look.here})

    def look(self, what: str, values: str = "") -> Look:
        rows = self.send(f"EXECUTE look_at_{what}_{self.prepare()}{values}")
        relations = {id: Relation(*row) for _, id, _, *row in rows if id}
        return Look(rows[0][0], relations, {id: modes for _, id, modes, *_ in rows if modes}, self.known)

    def prepare(self) -> int:
        """Prepare this connection's statements: planning one takes longer than it. Return their number."""
        if self.prepared is not self.driver():
            self.prepared, self.number = self.driver(), next(NUMBERS)
            ((catalogs,),) = self.send(CATALOGS)
            for (what, types), condition in CONDITIONS.items():
                look = LOOK.format(written=WRITTEN, catalogs=catalogs, condition=condition)
                self.send(f"PREPARE look_at_{what}_{self.number}{types} AS {look}")
        return self.number
