"""The tables of a database, with their columns, constraints, triggers and privileges, as its catalog tells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# A string, a quoted name, a comment, a word, or one character.
TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\w+|\S""", re.DOTALL)

ANOTHER = "another role: "  # in front of what is no privilege of the database's user


class Column(NamedTuple):
    """A column of a table or view."""

    number: int  # which a new name does not change (Postgres); 0: unknown
    type: str  # such as "character varying(30)"
    null: bool  # True: it may be NULL
    default: str = ""  # the expression that fills it where an INSERT leaves it out
    generated: bool = False  # no INSERT may give it
    collation: str = ""
    labels: tuple[str, ...] = ()  # of an enum
    domain: str = ""  # what a domain demands of its values


class Constraint(NamedTuple):
    """A demand on the table's rows. Two of the same content are the same, whatever their names."""

    kind: str  # "unique", "exclude", "check" or "foreign key"
    columns: tuple[str, ...]
    expression: str  # of a check; what else tells constraints apart
    where: str = ""  # the condition of a partial one
    where_columns: tuple[str, ...] = ()
    nulls_differ: bool = True  # a row with a NULL in it passes


@dataclass
class Table:
    """A table, view or sequence."""

    kind: str  # "table", "view" or "sequence"
    columns: dict[str, Column] = field(default_factory=dict)
    constraints: frozenset[Constraint] = frozenset()
    privileges: frozenset[str] = frozenset()  # on it, its columns and its schema
    security: str = ""  # row security: "", "enabled", or "forced" for the owner, too
    policies: dict[str, str] = field(default_factory=dict)  # what they say → their names
    parent: Any = None  # the id of the table that this one is a part of, or that this sequence counts for
    computed: frozenset[str] = frozenset()  # expressions of its indexes
    populated: bool = True  # False: a materialized view that nobody may read yet
    others: dict[str, str] = field(default_factory=dict)  # what else it has, such as "trigger x" → its definition


@dataclass
class Catalog:
    """The tables by an id that a new name does not change, and the ids by name. A table's mark changes with it."""

    tables: dict[Any, Table]
    names: dict[str, Any]
    marks: dict[Any, Any]

    def table(self, name: str) -> Table | None:
        return self.tables.get(self.names.get(name))

    def name_of(self, id: Any) -> str:
        return next((name for name, other in self.names.items() if other == id), "")


def read_catalog(connection: Any, earlier: Catalog | None = None) -> Catalog:
    """Return a database's catalog. A table that has the same mark as in `earlier` is taken from there."""
    from . import postgres, sqlite

    module = {"postgresql": postgres, "sqlite": sqlite}[connection.vendor]
    with connection.cursor() as cursor:
        marks = module.read_marks(cursor.cursor)
        if earlier and earlier.marks == marks:
            return earlier
        known = earlier.marks if earlier else {}
        changed = [id for id, mark in marks.items() if known.get(id) != mark]
        tables = {id: earlier.tables[id] for id in marks if earlier and id in earlier.tables}
        tables.update(module.read_tables(cursor.cursor, changed) if changed else {})
        return Catalog(tables, module.read_names(cursor.cursor), marks)


def named(sql: str, columns: Iterable[str]) -> list[str]:
    """Return those of these columns that an expression names."""
    bare = {word.strip('"`[]').lower() for word in TOKEN.findall(sql) if word[0] != "'"}
    return [name for name in columns if name.lower() in bare]
