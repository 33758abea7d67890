"""Which new types of columns are harmless: old code works with a wider one."""

import re
from typing import Any

from django.db.migrations import AlterField

INTEGERS = ("smallint", "integer", "bigint")
LIMITED = re.compile(r"(varchar|numeric)\((\d+)(, \d+)?\)")


def column(connection: Any, state: Any, app: str, operation: Any) -> tuple[str, str]:
    """Return type and collation, in this state, of the column that an AlterField alters; "" for other operations."""
    if not isinstance(operation, AlterField):
        return "", ""
    field = state.apps.get_model(app, operation.model_name)._meta.get_field(operation.name)
    return "" if field.is_relation else field.db_type(connection) or "", getattr(field, "db_collation", None) or ""


def widens(old: str, new: str) -> bool:
    """Return True if a column of the type `new` takes and gives all that one of the type `old` does."""
    if old in INTEGERS and new in INTEGERS:
        return INTEGERS.index(old) < INTEGERS.index(new)
    limit, other = LIMITED.fullmatch(old), LIMITED.fullmatch(new)
    if limit and other:
        return limit[1] == other[1] and limit[3] == other[3] and int(limit[2]) < int(other[2])
    return bool(limit) and old.startswith("varchar") and new in ("text", "varchar")
