"""Which columns got a wider type by a migration on Postgres: old code works with them."""

import re
from typing import Any

INTEGERS = ("smallint", "integer", "bigint")
LIMITED = re.compile(r"(character varying|numeric)\((\d+)(?:,(\d+))?\)")
ALTERED = re.compile(r'(ALTER TABLE "([^"]+)" ALTER COLUMN "([^"]+)") TYPE ')
COLUMNS = """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"""  # 16384: the first of users
Columns = dict[tuple[str, str], tuple[str, int]]  # (table, column) → (type, id of its collation)


def columns(connection: Any) -> Columns:
    """Return the columns of all tables; none if the database is no Postgres."""
    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS)
        return {(table, name): (kind, collation) for table, name, kind, collation in cursor.fetchall()}


def wider(before: Columns, after: Columns) -> set[tuple[str, str]]:
    return {key for key, (kind, collation) in after.items()
            if key in before and before[key][1] == collation and widens(before[key][0], kind)}


def harmless(sql: str, wider: set[tuple[str, str]]) -> str:
    """Return the SQL as the linter shall judge it: to the linter, each new TYPE is an error."""
    return ALTERED.sub(lambda found: f"{found[1]} WIDER " if (found[2], found[3]) in wider else found[0], sql)


def widens(old: str, new: str) -> bool:
    """Return True if a column of the type `new` takes and gives all that one of the type `old` does."""
    if old in INTEGERS and new in INTEGERS:
        return INTEGERS.index(old) < INTEGERS.index(new)
    limit, other = LIMITED.fullmatch(old), LIMITED.fullmatch(new)
    if limit and other:
        return limit[1] == other[1] and limit[3] == other[3] and int(limit[2]) < int(other[2])
    return bool(limit) and old.startswith("character varying") and new in ("text", "character varying")
