"""Try expressions in the database with values at the edges of their columns' types: do they fail, or become NULL?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .catalog import Column

Ask = Callable[[str], object]  # returns the value of a query, None if it fails
# The beginning of a type's name → values, a usual one first.
SAMPLES = (
    ("smallint", ("2", "0", "-1", "32767", "-32768")),
    ("integer", ("2", "0", "-1", "2147483647", "-2147483648")),
    ("bigint", ("2", "0", "-1", "9223372036854775807", "-9223372036854775808")),
    ("numeric", ("2", "0", "-1")),
    ("real", ("2", "0", "-1", "1e30")),
    ("double", ("2", "0", "-1", "1e300")),
    ("bool", ("true", "false")),
    ("character", ("'a'", "''", "'-1.5 é'")),
    ("text", ("'a'", "''", "'-1.5 é'")),
    ("citext", ("'a'", "''", "'-1.5 é'")),
    ("date", ("'2001-02-03'", "'0001-01-01'", "'9999-12-31'")),
    ("timestamp", ("'2001-02-03'", "'0001-01-02'", "'9999-12-30'")),
    ("time", ("'04:05'", "'00:00'", "'23:59:59.999999'")),
    ("interval", ("'1 day'", "'-9999 days'", "'0'")),
    ("uuid", ("'00000000-0000-0000-0000-000000000001'",)),
    ("json", ("'{}'", "'[]'", "'\"a\"'", "'1'", "'null'")),
    ("bytea", ("'a'", "''")),
    ("inet", ("'10.0.0.1'", "'::1'")),
)


def fails(expression: str, columns: Mapping[str, Column], ask: Ask) -> bool:
    """Return True if the expression fails for some values of these columns."""
    rows = rows_of(columns)
    works = ask(f"SELECT count(CASE WHEN ({expression}) IS NULL THEN 1 END) {rows}")
    return works is None and ask(f"SELECT count(*) {rows}") is not None


def may_be_null(expression: str, columns: Mapping[str, Column], ask: Ask) -> bool:
    return is_always(f"({expression}) IS NOT NULL", columns, ask) is False


def is_always(condition: str, columns: Mapping[str, Column], ask: Ask, left_out: str = "") -> bool | None:
    """Return True if a condition is true for all values that are tried; None if it fails. `left_out`: the column that
    an INSERT leaves out."""
    value = ask(f"SELECT min(CASE WHEN {condition} THEN 1 ELSE 0 END) {rows_of(columns, left_out)}")
    return None if value is None else value == 1


def rows_of(columns: Mapping[str, Column], left_out: str = "") -> str:
    """Return FROM with rows: each has one column's value at an edge, and usual ones in the others."""
    values = {name: values_of(column) for name, column in columns.items()}
    if left_out:
        values[left_out] = [default_of(columns[left_out])]
    usual = {name: of_column[0] for name, of_column in values.items()}
    rows = [usual, *({**usual, name: value} for name, of_column in values.items() for value in of_column[1:])]
    return f"FROM ({' UNION ALL '.join(map(row, rows))}) rows_of_samples"


def row(values: Mapping[str, str]) -> str:
    return "SELECT " + (", ".join(f'{value} AS "{name}"' for name, value in values.items()) or "1")


def values_of(column: Column) -> list[str]:
    """Return values of a column's type; NULL, too, if it may be that, or if no value is known."""
    sized = column.type.lower()
    literals = next((values for name, values in SAMPLES if sized.startswith(name) and not sized.endswith("[]")), ())
    values = [f"CAST({literal} AS {column.type})" for literal in literals]
    return [*values, *([null_of(column)] if column.null or not values else [])]


def null_of(column: Column) -> str:
    return f"CAST(NULL AS {column.type or 'text'})"


def default_of(column: Column) -> str:
    """Return what an INSERT that leaves out the column puts into it."""
    return f"({column.default})" if column.default else null_of(column)


def row_of_defaults(columns: Mapping[str, Column]) -> str:
    """Return FROM with the row of an INSERT that leaves out these columns."""
    return f"FROM ({row({name: default_of(column) for name, column in columns.items()})}) row_of_defaults"


def is_filled(column: Column, ask: Ask) -> bool:
    """Return True if the database gives the column a value that it takes."""
    if not column.default or column.generated or column.default in ("identity", "rowid", "generated"):
        return bool(column.default)
    value = f"CAST(({column.default}) AS {column.type or 'text'})"
    return bool(ask(f"SELECT {value} IS NOT NULL"))
