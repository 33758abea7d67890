"""Find the new types of columns that are harmless: old code works with a wider one."""

import re
from typing import Any

from django.db.migrations import AlterField

INTEGERS = ("smallint", "integer", "bigint")
LIMITED = re.compile(r"(varchar|numeric)\((\d+)(, \d+)?\)")


def is_harmless(connection: Any, state: Any, app: str, operation: Any) -> bool:
    """Return True if the operation gives a column a wider type, and no constraint. `state`: before the operation."""
    if not isinstance(operation, AlterField):
        return False
    old = state.models[app, operation.model_name_lower].fields[operation.name]
    new = operation.field
    same = old.db_column == new.db_column and not (old.is_relation or new.is_relation)
    freer = old.null <= new.null and old.unique >= new.unique
    return same and freer and widens(*(field.db_type(connection) or "" for field in (old, new)))


def widens(old: str, new: str) -> bool:
    """Return True if a column of the type `new` takes and gives all that one of the type `old` does."""
    if old in INTEGERS and new in INTEGERS:
        return INTEGERS.index(old) < INTEGERS.index(new)
    limit = LIMITED.fullmatch(old)
    other = LIMITED.fullmatch(new)
    if limit and other:
        return limit[1] == other[1] and limit[3] == other[3] and int(limit[2]) < int(other[2])
    return bool(limit) and old.startswith("varchar") and new in ("text", "varchar")
