"""Compare two catalogs: what did a migration change, as far as code of before could notice?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from .catalog import Catalog, Column, Constraint, Table
from .rules import Change

COUNTED = ("identity", "rowid")  # defaults that differ in each row
Ask = Callable[[str], Any]  # returns the value of a query, None if it fails


def catalog_changes(before: Catalog, after: Catalog, ask: Ask) -> list[Change]:
    """Return what changed from one catalog to another, table by table. `ask`: the database of `after`."""
    changes: list[Change] = []
    for name, id in sorted(before.names.items()):
        old = before.tables[id]
        new = after.table(name)
        if old.kind == "sequence":
            changes += other_changes(old.owned_by or name, old, new) if new else []
        elif new is None:
            changes.append(gone({"what": "table gone", "table": name}, after.name_of(id)))
        elif new is not old:
            changes += table_changes(name, old, new, ask)
    for name, id in sorted(after.names.items()):
        if name not in before.names and after.tables[id].kind != "sequence":
            changes.append({"what": "table new", "table": name})
    return changes


def gone(change: Change, renamed: str) -> Change:
    if renamed:
        change["to"] = renamed
    return change


def table_changes(name: str, before: Table, after: Table, ask: Ask) -> Iterator[Change]:
    for column, old in before.columns.items():
        if column in after.columns:
            yield from column_changes(name, column, old, after.columns[column])
        else:
            same = [other for other, new in after.columns.items() if old.number and new.number == old.number]
            yield gone({"what": "column gone", "table": name, "column": column}, "".join(same))
    for column, new in after.columns.items():
        if column not in before.columns:
            yield {
                "what": "column new",
                "table": name,
                "column": column,
                "null": new.null,
                "default": bool(new.default),
            }
    for constraint in sorted(after.constraints - before.constraints):
        if not is_implied(constraint, before.constraints & after.constraints):
            yield constraint_change(name, constraint, after, ask)
    for constraint in sorted(before.constraints - after.constraints):
        if constraint.kind == "unique":
            columns = ", ".join(constraint.columns)
            yield {"what": "other", "table": name, "text": f"UNIQUE ({columns}) is gone, on which an upsert may rely"}
    yield from other_changes(name, before, after)


def column_changes(table: str, column: str, old: Column, new: Column) -> Iterator[Change]:
    def change(what: str, **values: Any) -> Change:
        return cast(Change, {"what": what, "table": table, "column": column, **values})

    if old.type != new.type:
        yield change("type", old=old.type, new=new.type)
    if old.null and not new.null:
        yield change("not null", default=bool(new.default))
    if old.default and not new.default:
        yield change("default gone", null=new.null)
    elif old.default and old.default != new.default:
        yield change("other", text=f"its default is now {new.default}")
    if new.null and not (old.null or old.default):
        yield change("optional")
    if new.generated and not old.generated:
        yield change("generated")
    if gone := [label for label in old.labels if label not in new.labels]:
        yield change("labels", gone=gone)
    if old.domain != new.domain and old.type == new.type:
        yield change("domain", text=new.domain)
    if old.collation != new.collation:
        yield change("other", text=f"its collation is now {new.collation or 'the usual one'}")
    if old.number != new.number:
        yield change("other", text="it is another column now: what the old one held is elsewhere")


def is_implied(constraint: Constraint, stays: Iterable[Constraint]) -> bool:
    """Return True if a unique constraint that stays is stricter than this one."""
    return constraint.kind == "unique" and any(
        other.kind == "unique"
        and not (other.expression or other.where)
        and {*other.columns} <= {*constraint.columns}
        and (constraint.nulls_differ or not other.nulls_differ)
        for other in stays
    )


def constraint_change(name: str, new: Constraint, table: Table, ask: Ask) -> Change:
    """Return a new constraint. `free`: columns; a row passes if its INSERT leaves out one of them, of a check all.
    `idle`: the columns of its condition, if that is not true where all are left out."""
    columns = {column: table.columns[column] for column in new.columns if column in table.columns}
    if new.kind == "check":
        passes = columns and ask(f"SELECT ({new.expression}) IS NOT FALSE {row_of_defaults(columns)}")
        free = [*columns] if passes else []
    elif new.expression and new.kind == "unique":  # it may make a value of NULL
        free = []
    else:
        free = [column for column, of in columns.items() if lets_pass(new, of, ask)]
    conditions = {column: table.columns[column] for column in new.where_columns}
    counts = ask(f"SELECT ({new.where}) IS TRUE {row_of_defaults(conditions)}") if conditions else None
    idle = [] if counts is None or counts else [*conditions]
    here: Change = {"what": new.kind, "table": name, "columns": [*new.columns], "text": new.expression}
    return {**here, "free": free, "idle": idle}


def lets_pass(constraint: Constraint, column: Column, ask: Ask) -> bool:
    """Return True if the column gets NULL or a value of its own in a row whose INSERT leaves it out."""
    if not column.default:
        return column.null and constraint.nulls_differ
    if constraint.kind != "unique":
        return False
    if column.default in COUNTED:
        return True
    is_same = ask(f"SELECT ({column.default}) = ({column.default})")
    return is_same is not None and not is_same


def row_of_defaults(columns: dict[str, Column]) -> str:
    """Return FROM with one row: what an INSERT that leaves out these columns puts into them."""
    values = []
    for name, column in columns.items():
        value = f"({column.default})" if column.default else f"CAST(NULL AS {column.type or 'text'})"
        values.append(f'{value} AS "{name}"')
    return f"FROM (SELECT {', '.join(values)}) row_of_defaults"


def other_changes(name: str, before: Table, after: Table) -> Iterator[Change]:
    if gone := sorted(before.privileges - after.privileges):
        yield {"what": "denied", "table": name, "text": f"taken: {', '.join(gone)}"}
    policies = [other for other in before.others if other.startswith("policy ") and other not in after.others]
    if after.security == "forced" != before.security:
        yield {"what": "denied", "table": name, "text": "row security is forced"}
    elif after.security and policies:
        yield {"what": "denied", "table": name, "text": f"taken: {', '.join(policies)}"}
    elif after.security != before.security:
        yield {"what": "other", "table": name, "text": f"row security is {after.security or 'off'}"}
    if "not populated" in after.others.get("storage", "") and "not populated" not in before.others.get("storage", ""):
        yield {"what": "denied", "table": name, "text": "it is not populated"}
    if before.kind != after.kind:
        yield {"what": "other", "table": name, "text": f"it is a {after.kind} now"}
        return
    for other in sorted(before.others.keys() | after.others.keys()):
        old, new = before.others.get(other), after.others.get(other)
        is_key = other.startswith("foreign key") and None in (old, new)  # which is judged as a constraint
        if old != new and not is_key:
            what = "new" if old is None else "gone" if new is None else "changed"
            yield {"what": "other", "table": name, "text": f"{other}: {what}"}
