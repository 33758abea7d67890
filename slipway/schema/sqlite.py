"""Read what SQLite knows of its tables: by its pragmas, and for checks, conditions and triggers by sqlite_master."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .catalog import TOKEN, Column, Constraint, Table, named

CONVERTED = ("BOOL", "DATE", "DATETIME", "TIME", "TIMESTAMP")
AFFINITIES = (
    ("INTEGER", ("INT",)),
    ("TEXT", ("CHAR", "CLOB", "TEXT")),
    ("BLOB", ("BLOB",)),
    ("REAL", ("REAL", "FLOA", "DOUB")),
)
GENERATED = (2, 3)  # hidden
EXPRESSION = -2  # in place of a column's number


def read_marks(cursor: Any) -> dict[Any, Any]:
    """Return each table's mark, which is its SQL with that of its indexes and triggers."""
    cursor.execute("SELECT tbl_name, type, name, sql FROM sqlite_master ORDER BY tbl_name, type, name")
    marks: dict[str, list[Any]] = {}
    for table, *row in cursor.fetchall():
        if not table.startswith("sqlite_") and table != "django_migrations":
            marks.setdefault(table, []).append(row)
    return marks


def read_names(cursor: Any) -> dict[str, Any]:
    return {name: name for name in read_marks(cursor)}


def read_tables(cursor: Any, names: list[Any]) -> dict[Any, Table]:
    return {name: read_table(cursor, name) for name in names}


def read_table(cursor: Any, name: str) -> Table:
    rows = query(cursor, "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? ORDER BY name", name)
    kind, sql = next((kind, sql or "") for kind, own, sql in rows if own == name)
    columns = dict(read_columns(cursor, name))
    constraints = [*read_unique(cursor, name, columns, {own: sql or "" for _, own, sql in rows})]
    others = {f"trigger {own}": sql for kind, own, sql in rows if kind == "trigger"}
    if kind == "table":
        constraints += [*read_foreign_keys(cursor, name), *read_checks(sql, columns)]
    else:
        others["query"] = sql
    return Table(kind, columns, frozenset(constraints), others=others)


def query(cursor: Any, sql: str, *params: Any) -> list[Any]:
    return list(cursor.execute(sql, params).fetchall())


def read_columns(cursor: Any, table: str) -> Iterator[tuple[str, Column]]:
    rows = query(cursor, 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', table)
    keys = sum(bool(key) for *_, key, _ in rows)
    with_rowid = not query(cursor, "SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", table)
    for name, type, not_null, default, key, hidden in rows:
        is_rowid = key and keys == 1 and type.lower() == "integer" and with_rowid
        is_generated = hidden in GENERATED
        filled = "rowid" if is_rowid else "generated" if is_generated else default or ""
        yield name, Column(0, type_of(type.upper()), not not_null, filled, is_generated)


def type_of(declared: str) -> str:
    """Return how a column keeps values: its affinity (sqlite.org/datatype3.html, 3.1), or the type that the driver
    reads in a way of its own."""
    if declared in CONVERTED:
        return declared
    for affinity, words in AFFINITIES:
        if any(word in declared for word in words):
            return affinity
    return "NUMERIC" if declared else "BLOB"


def read_unique(cursor: Any, table: str, columns: dict[str, Column], sql: dict[str, str]) -> Iterator[Constraint]:
    keys = query(cursor, "SELECT name FROM pragma_table_xinfo(?) WHERE pk ORDER BY pk", table)
    if keys:
        yield Constraint("unique", tuple(name for (name,) in keys), "")
    for index, partial in query(cursor, 'SELECT name, partial FROM pragma_index_list(?) WHERE "unique"', table):
        rows = query(cursor, "SELECT cid, name FROM pragma_index_xinfo(?) WHERE key", index)
        words = [*TOKEN.finditer(sql.get(index, ""))]
        condition = words[-1].string[last(words, "WHERE").end() :].strip() if partial else ""
        has_expression = any(number == EXPRESSION for number, _ in rows)
        expression = parenthesized(words, 0) if has_expression else ""
        names = [name for _, name in rows if name]
        names += [name for name in named(expression, columns) if name not in names]
        yield Constraint("unique", tuple(names), expression, condition, tuple(named(condition, columns)))


def read_foreign_keys(cursor: Any, table: str) -> Iterator[Constraint]:
    rows = query(cursor, 'SELECT id, "from", "table", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq', table)
    for id in {row[0] for row in rows}:
        own = [row for row in rows if row[0] == id]
        target = f"{own[0][2]} {[row[3] for row in own]}"
        yield Constraint("foreign key", tuple(row[1] for row in own), target)


def read_checks(sql: str, columns: dict[str, Column]) -> Iterator[Constraint]:
    """Yield the checks in a table's SQL: no pragma tells them."""
    words = [word for word in TOKEN.finditer(sql) if not word[0].startswith(("--", "/*"))]
    for place, word in enumerate(words):
        if word[0].upper() == "CHECK" and words[place + 1][0] == "(":
            expression = parenthesized(words, place)
            yield Constraint("check", tuple(named(expression, columns)), expression)


def parenthesized(words: list[re.Match[str]], start: int) -> str:
    """Return the text in the first parentheses from the word at `start` on."""
    opened: list[re.Match[str]] = []
    for word in words[start:]:
        if word[0] == "(":
            opened.append(word)
        elif word[0] == ")" and opened:
            first = opened.pop()
            if not opened:
                return word.string[first.end() : word.start()].strip()
    return ""


def last(words: list[re.Match[str]], wanted: str) -> re.Match[str]:
    return [word for word in words if word[0].upper() == wanted][-1]
