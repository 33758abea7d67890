"""Compare two catalogs: what did a migration change, as far as code of before could notice?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

from .catalog import ANOTHER, Catalog, Column, Constraint, Table
from .rules import Change
from .trials import Ask, fails, is_always, is_filled, may_be_null, row_of_defaults

COUNTED = ("identity", "rowid")  # defaults that differ in each row
USED = ("SELECT", "INSERT", "UPDATE", "DELETE", "USAGE")  # privileges that a release needs
TEXTS = re.compile(r"text|character varying(\((\d+)\))?")


def catalog_changes(before: Catalog, after: Catalog, ask: Ask, between: Iterable[Catalog] = ()) -> list[Change]:
    """Return what changed from one catalog to another, table by table. `ask`: the database of `after`. `between`: how
    it was after parts of the migration, where columns have no number that tells one from another (SQLite)."""
    changes: list[Change] = []
    for name, id in sorted(before.names.items()):
        old = before.tables[id]
        new = after.table(name)
        owner = before.name_of(old.parent) or name if old.parent else name
        if old.kind == "sequence":
            changes += other_changes(owner, old, new) if new and new is not old else []
        elif new is None or (after.names[name] != id and id in after.tables):
            changes.append(gone({"what": "table gone", "table": name}, after.name_of(id)))
        elif new is not old:
            if after.names[name] != id:
                numberless = {column: of._replace(number=0) for column, of in old.columns.items()}
                old = replace(old, columns=numberless)  # another one's numbers tell nothing
                if new.kind == old.kind == "table":
                    changes.append(other(name, "it is another table now: its rows are what the migration has copied"))
            changes += table_changes(name, old, new, ask)
        if owner != name and old.kind == "table":
            changes += changes_of_part(owner, name, old, new, [each for each in changes if each["table"] == name])
    changes += replaced(before, after, between)
    for name, id in sorted(after.names.items()):
        if name not in before.names and after.tables[id].kind != "sequence":
            changes.append({"what": "table new", "table": name})
    return changes


def other(table: str, text: str) -> Change:
    return {"what": "other", "table": table, "text": text}


def changes_of_part(table: str, name: str, old: Table, new: Table | None, own: list[Change]) -> Iterator[Change]:
    """Yield what a table's partition has changed for it."""
    if new is None or new.others.get("partition") != old.others.get("partition"):
        yield other(table, f"its partition {name} is gone or has other limits: what was in it is refused or lost")
    for change in own:
        if change["what"] in ("unique", "exclude", "check", "foreign key", "not null"):
            yield {**change, "table": table}


def replaced(before: Catalog, after: Catalog, between: Iterable[Catalog]) -> Iterator[Change]:
    """Yield the columns that were gone for a while: what has their names now is another one."""
    columns = {
        (name, column)
        for catalog in between
        for name, id in before.names.items()
        if (table := catalog.table(name)) and (now := after.table(name))
        for column in before.tables[id].columns.keys() & now.columns.keys() - table.columns.keys()
    }
    for name, column in sorted(columns):
        yield {"what": "column replaced", "table": name, "column": column}


def gone(change: Change, renamed: str) -> Change:
    if renamed:
        change["to"] = renamed
    return change


def table_changes(name: str, before: Table, after: Table, ask: Ask) -> Iterator[Change]:
    for column, old in before.columns.items():
        if column in after.columns:
            yield from column_changes(name, column, old, after.columns[column], ask)
        else:
            same = [other for other, new in after.columns.items() if old.number and new.number == old.number]
            yield gone({"what": "column gone", "table": name, "column": column}, "".join(same))
    known = {old.number for old in before.columns.values() if old.number}
    for column, new in after.columns.items():
        if column not in before.columns and new.number not in known:
            here: Change = {"what": "column new", "table": name, "column": column}
            yield {**here, "null": new.null, "default": is_filled(new, ask)}
        if new.generated and new.default and new != before.columns.get(column):
            yield from computed_column(name, column, new, after, ask)
    for expression in sorted(after.computed - before.computed):
        if fails(expression, given_columns(after), ask):
            yield {"what": "computed", "table": name, "text": expression}
    for constraint in sorted(after.constraints - before.constraints):
        if after.kind != "view" and not is_implied(constraint, before.constraints):
            yield from constraint_change(name, constraint, after, ask)
    for constraint in sorted(before.constraints - after.constraints):
        if constraint.kind == "unique":
            columns = ", ".join(constraint.columns)
            yield {"what": "other", "table": name, "text": f"UNIQUE ({columns}) is gone, on which an upsert may rely"}
    yield from other_changes(name, before, after)


def computed_column(name: str, column: str, new: Column, table: Table, ask: Ask) -> Iterator[Change]:
    """Yield a change if the database cannot compute a generated column from all that a release may write."""
    if new.default in (*COUNTED, "generated"):  # SQLite does not tell its expression
        is_bad = new.default == "generated" and not new.null
    else:
        columns = given_columns(table)
        is_bad = fails(new.default, columns, ask) or (not new.null and may_be_null(new.default, columns, ask))
    if is_bad:
        yield {"what": "computed", "table": name, "text": f"{column}, {new.default}"}


def given_columns(table: Table) -> dict[str, Column]:
    return {name: column for name, column in table.columns.items() if not column.generated or column.default in COUNTED}


def column_changes(table: str, column: str, old: Column, new: Column, ask: Ask) -> Iterator[Change]:
    def change(what: str, **values: Any) -> Change:
        return cast(Change, {"what": what, "table": table, "column": column, **values})

    is_freer = bool(old.labels and not new.labels) and takes_labels(new.type, old.labels)
    is_filled_now = old.default == new.default or is_filled(new, ask)
    if old.type != new.type and not is_freer:
        yield change("type", old=old.type, new=new.type)
    if old.null and not new.null:
        yield change("not null", default=is_filled_now and bool(new.default))
    if old.default and not (new.default and is_filled_now):
        yield change("default gone", null=new.null)
    elif old.default and old.default != new.default:
        yield change("other", text=f"its default is now {new.default}")
    if new.null and not (old.null or old.default):
        yield change("optional")
    if new.generated and not old.generated:
        yield change("generated")
    if new.labels and (gone := [label for label in old.labels if label not in new.labels]):
        yield change("labels", gone=gone)
    if new.domain and old.domain != new.domain:
        yield change("domain", text=new.domain)
    if old.collation != new.collation:
        yield change("other", text=f"its collation is now {new.collation or 'the usual one'}")
    if old.number and old.number != new.number:
        yield change("column replaced")


def takes_labels(type: str, labels: Iterable[str]) -> bool:
    text = TEXTS.fullmatch(type)
    return text is not None and (not text[2] or int(text[2]) >= max(map(len, labels)))


def is_implied(constraint: Constraint, earlier: Iterable[Constraint]) -> bool:
    """Return True if the rows have always fulfilled this unique constraint, because an earlier one was stricter."""
    return constraint.kind == "unique" and any(
        other.kind == "unique"
        and not (other.expression or other.where)
        and {*other.columns} <= {*constraint.columns}
        and (constraint.nulls_differ or not other.nulls_differ)
        for other in earlier
    )


def constraint_change(name: str, new: Constraint, table: Table, ask: Ask) -> Iterator[Change]:
    """Yield a new constraint, unless all rows pass. `free`: columns; a row passes if its INSERT leaves out one of them,
    of a check all. `alone`: of a check, those of which one is enough. `idle`: the columns of its condition, if that is
    not true where all are left out."""
    columns = {column: table.columns[column] for column in new.columns if column in table.columns}
    conditions = {column: table.columns[column] for column in new.where_columns}
    free, alone = [], []
    if new.kind == "check":
        passes = ask(f"SELECT ({new.expression}) IS NOT FALSE {row_of_defaults(columns)}")
        free = [*columns] if passes else []
        alone = [column for column in columns if suffices(new.expression, column, columns, ask)]
        if passes and not columns:
            return
    elif new.expression and new.kind == "unique":  # it may make a value of NULL
        is_null = f"({new.expression}) IS NULL"
        usual = given_columns(table)
        free = [column for column, of in columns.items() if not of.default and is_always(is_null, usual, ask, column)]
        free = free if new.nulls_differ else []
    else:
        free = [column for column, of in columns.items() if lets_pass(new, of, ask)]
    counts = ask(f"SELECT ({new.where}) IS TRUE {row_of_defaults(conditions)}") if new.where else None
    if counts is not None and not counts and not conditions:
        return
    idle = [] if counts is None or counts else [*conditions]
    here: Change = {"what": new.kind, "table": name, "columns": [*new.columns], "text": new.expression}
    yield {**here, "free": free, "alone": alone, "idle": idle}


def suffices(expression: str, left_out: str, columns: dict[str, Column], ask: Ask) -> bool:
    """Return True if a check is true where one column is left out, whatever is in the others: NULL stands for what is
    unknown, and no value that is tried makes it false."""
    unknown = {name: column._replace(default="") for name, column in columns.items() if name != left_out}
    is_true = ask(f"SELECT ({expression}) IS TRUE {row_of_defaults({**unknown, left_out: columns[left_out]})}")
    return bool(is_true) and is_always(f"({expression}) IS NOT FALSE", columns, ask, left_out) is True


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


def other_changes(name: str, before: Table, after: Table) -> Iterator[Change]:
    gone = [each for each in sorted(before.privileges - after.privileges) if each.split()[-1] in USED]
    own = [each for each in gone if not each.startswith(ANOTHER)]
    if own:
        yield {"what": "denied", "table": name, "text": f"taken: {', '.join(own)}"}
    elif gone:
        yield other(name, f"taken: {', '.join(gone)}")
    yield from policy_changes(name, before, after)
    if before.populated and not after.populated:
        yield {"what": "denied", "table": name, "text": "it is not populated"}
    if before.kind != after.kind:
        yield other(name, f"it is a {after.kind} now")
        return
    for key in sorted(before.others.keys() | after.others.keys()):
        old, new = before.others.get(key), after.others.get(key)
        is_key = key.startswith("foreign key") and None in (old, new)  # which is judged as a constraint
        if old != new and not is_key:
            yield other(name, f"{key}: {'new' if old is None else 'gone' if new is None else 'changed'}")


def policy_changes(name: str, before: Table, after: Table) -> Iterator[Change]:
    """Yield what row security takes: all that no policy allows, and what a restrictive one does not."""
    new = after.policies.keys() - before.policies.keys()
    taken = [before.policies[policy] for policy in before.policies.keys() - after.policies.keys()]
    taken += [after.policies[policy] for policy in new if policy.startswith("RESTRICTIVE")]
    if after.security == "forced" != before.security:
        yield {"what": "denied", "table": name, "text": "row security is forced"}
    elif after.security and taken:
        yield {"what": "denied", "table": name, "text": f"its policies changed: {', '.join(sorted(taken))}"}
    elif after.security != before.security:
        yield other(name, f"row security is {after.security or 'off'}")
    elif new or taken:
        yield other(name, "its policies changed")
