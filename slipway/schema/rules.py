"""Judge if a release works with a changed database: what a migration changed, and what the release takes for granted.
The build writes both to migrations.json; hosts and the machine that deploys judge. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypedDict

NOTED = 3  # newest version of migrations.json that this code can read
TWO_RELEASES = "in two releases: the first {}, the next one {}"
REMOVE = TWO_RELEASES.format(
    "no longer uses {}, which gets null=True or db_default=… if inserts must go on without a value", "removes it"
)
RENAME = "keep it with {}; or in two releases: add a new one and use both, then remove the old one"
CURES = {
    "table gone": TWO_RELEASES.format("no longer uses the model", "removes it"),
    "table renamed": RENAME.format("Meta.db_table"),
    "column gone": "in two releases: the first no longer uses the field (with null=True or db_default=…, so that"
    " inserts need no value), the next one removes it",
    "column renamed": RENAME.format("db_column=…"),
    "column new": "give it db_default=…, or null=True in this release, and NOT NULL in the next one",
    "not null": "in two releases: the first always writes a value, the next one makes it NOT NULL",
    "default gone": TWO_RELEASES.format("gives a value (default=…), and keeps db_default=…", "takes db_default away"),
    "type": "in two releases: add a column of the new type and use both, then remove the old one",
    "column replaced": RENAME.format("its name and its rows"),
    "computed": "let it work for all values that the release may write",
    "generated": TWO_RELEASES.format("no longer writes it", "lets the database compute it"),
    "labels": TWO_RELEASES.format("no longer uses them", "takes them away"),
    "domain": TWO_RELEASES.format("writes nothing that it forbids", "changes it"),
    "unique": TWO_RELEASES.format("writes no duplicates", "adds the constraint"),
    "exclude": TWO_RELEASES.format("writes nothing that it forbids", "adds the constraint"),
    "check": TWO_RELEASES.format("writes nothing that it forbids", "adds the constraint"),
    "foreign key": TWO_RELEASES.format("writes only rows that exist", "adds the constraint"),
    "denied": "take it only when no release uses it any more",
}
# Each `what` of a change, and what it has besides its table.
KEYS = {
    "table new": (),
    "table gone": (),
    "column new": ("column", "null", "default"),
    "column gone": ("column",),
    "column replaced": ("column",),
    "type": ("column", "old", "new"),
    "not null": ("column", "default"),
    "default gone": ("column", "null"),
    "optional": ("column",),
    "generated": ("column",),
    "labels": ("column", "gone"),
    "domain": ("column", "text"),
    **dict.fromkeys(("unique", "exclude", "check", "foreign key"), ("columns", "free", "idle", "text")),
    "computed": ("text",),
    "denied": ("text",),
    "other": ("text",),
}
# Types of values in migrations.json, and of the values that these consist of.
TYPES: dict[str, tuple[type, type]] = {
    **dict.fromkeys(("what", "table", "column", "to", "old", "new", "text", "type", "failed", "unjudged"), (str, str)),
    **dict.fromkeys(("null", "default", "left_out"), (bool, bool)),
    **dict.fromkeys(("columns", "free", "alone", "idle", "gone", "warnings"), (list, str)),
    **dict.fromkeys(("changes", "locks"), (list, dict)),
    **dict.fromkeys(("migrations", "before", "uses"), (dict, dict)),
}
INTEGERS = ("smallint", "integer", "bigint")
FLOATS = ("real", "double precision")
# Types of SQLite that a column may have instead: it keeps the same, and Django reads it so.
SAME = {("BOOL", "INTEGER"), ("BOOL", "NUMERIC"), ("INTEGER", "NUMERIC"), ("NUMERIC", "INTEGER")}
SAME |= {("DATE", "TEXT"), ("DATETIME", "TEXT"), ("TIME", "TEXT")}
TEXT = re.compile(r"text|character varying(\(\d+\))?")
SIZED = re.compile(r"(character varying|character|numeric)\((\d+)(?:,(\d+))?\)")


class UsedColumn(TypedDict, total=False):
    """A column that a model has. `type`: in the catalog, "" if unknown. `null`: the model may write NULL. `left_out`:
    an INSERT leaves its value to the database."""

    type: str
    null: bool
    left_out: bool


Uses = Mapping[str, Mapping[str, UsedColumn]]  # table → column → how the release's models use it


class Change(TypedDict, total=False):
    """A change that a migration made in the database. KEYS has what belongs to which `what`."""

    what: str
    table: str
    column: str
    to: str  # the new name
    old: str
    new: str
    null: bool
    default: bool
    columns: list[str]
    free: list[str]
    alone: list[str]
    idle: list[str]
    gone: list[str]
    text: str


class Entry(TypedDict, total=False):
    """A migration, as far as it is known. `before`: how the models of before used the tables that it changes."""

    changes: list[Change]
    before: dict[str, dict[str, UsedColumn]]
    warnings: list[str]
    failed: str  # why the build could not apply it
    unjudged: str  # what of it did not run in the build, and why
    locks: list[Any]


class Noted(TypedDict):
    """An image's notes on one kind of database. `uses`: None in an image that an older Slipway built."""

    migrations: dict[str, Entry]  # in the order in which they are applied
    uses: Uses | None


class Judgement(NamedTuple):
    """Why a release fails after changes, each with a cure; and changes that it may notice."""

    errors: list[str]
    warnings: list[str]


def noted_in(content: Mapping[str, Any]) -> dict[str, Noted]:
    """Return what a migrations.json says of each kind of database. Raises KeyError, TypeError, ValueError or
    AttributeError if it is malformed."""
    version = content.get("version", NOTED)
    if version > NOTED:
        raise ValueError(version)
    reader = older_verdicts if version < NOTED else in_this_version
    return {vendor: reader(of_vendor) for vendor, of_vendor in content.get("vendors", {}).items()}


def in_this_version(of_vendor: Any) -> Noted:
    check(of_vendor, "migrations", "uses")
    entries: dict[str, Entry] = of_vendor["migrations"]
    for entry in entries.values():
        check(entry, "changes", "before")
        for change in entry["changes"]:
            check(change, "what", "table", *KEYS[change["what"]])
    for uses in (of_vendor["uses"], *(entry["before"] for entry in entries.values())):
        for columns in uses.values():
            for used in columns.values():
                check(used)
    return {"migrations": entries, "uses": of_vendor["uses"]}


def check(values: Mapping[str, Any], *needed: str) -> None:
    """Raise KeyError if one that is `needed` is missing, TypeError if the type of one is wrong."""
    for key in {*needed, *TYPES.keys() & values.keys()}:
        kind, of_items = TYPES[key]
        value = values[key]
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if not isinstance(value, kind) or not all(isinstance(item, of_items) for item in items):
            raise TypeError(key)


def older_verdicts(of_vendor: Any) -> Noted:
    """Return what an older build noted: a verdict on each migration, whatever the other release uses."""
    entries: dict[str, Entry] = {}
    for name, verdict in of_vendor.items():
        entries[name] = {"changes": [], "before": {}}
        if verdict["verdict"] == "error":
            entries[name]["failed"] = "; ".join(verdict["messages"])
    return {"migrations": entries, "uses": None}


def judge(changes: Iterable[Change], uses: Uses) -> Judgement:
    """Judge if a release that uses these tables works after these changes."""
    judged = Judgement([], [])
    for change in changes:
        columns = uses.get(change["table"])
        if columns is None:
            continue
        if breaks(change, columns):
            judged.errors.append(f"{sentence(change)}: {CURES[kind_of(change)]}")
        elif change["what"] == "other":
            judged.warnings.append(sentence(change))
    return judged


def judge_entry(entry: Entry, uses: Uses) -> Judgement:
    """Judge a migration: what it changed, and what the build could not see."""
    errors, warnings = judge(entry["changes"], uses)
    failed, unjudged = ([entry[key]] if key in entry else [] for key in ("failed", "unjudged"))
    return Judgement([*failed, *errors], [*warnings, *entry.get("warnings", ()), *unjudged])


def breaks(change: Change, columns: Mapping[str, UsedColumn]) -> bool:
    """Return True if a release that uses these columns of the table fails after the change."""
    what = change["what"]
    if what in ("table gone", "denied", "computed"):
        return True
    if what in ("unique", "exclude", "check", "foreign key"):
        return restricts(change, columns)
    used = columns.get(change.get("column", ""))
    if used is None:  # an INSERT leaves it out
        filled = change.get("null", False) or change.get("default", False)
        return what in ("column new", "not null", "default gone") and not filled
    left_out = used.get("left_out", False)
    if what == "type":
        return not fits(used.get("type") or change["old"], change["new"])
    if what == "not null":
        return used.get("null", False) or (left_out and not change["default"])
    if what == "default gone":
        return left_out
    if what == "generated":
        return not left_out
    return what in ("column gone", "column replaced", "labels", "domain")


def restricts(change: Change, columns: Mapping[str, UsedColumn]) -> bool:
    """Return True if a row that the release writes may violate a new constraint."""
    left_out = {*change["columns"]} - {*columns}
    is_idle = bool(change["idle"]) and not {*change["idle"]} & {*columns}
    if change["what"] == "check":
        passes = bool(left_out) and left_out == {*change["columns"]} == {*change["free"]}
        passes = passes or bool(left_out & {*change.get("alone", ())})
    else:
        passes = bool(left_out & {*change["free"]})
    return not passes and not is_idle


def fits(old: str, new: str) -> bool:
    """Return True if a column of the type `new` takes and gives all that one of the type `old` does."""
    for types in (INTEGERS, FLOATS):
        if old in types and new in types:
            return types.index(old) <= types.index(new)
    if old.endswith("[]") and new.endswith("[]"):
        return fits(old[:-2], new[:-2])
    if old == new or (old, new) in SAME or (TEXT.fullmatch(old) and new in ("text", "character varying")):
        return True
    if old.startswith("numeric") and new == "numeric":
        return True
    limits, others = SIZED.fullmatch(old), SIZED.fullmatch(new)
    if not limits or not others or limits[1] != others[1] or limits[1] == "character":
        return False
    digits, after_point = int(limits[2]), int(limits[3] or 0)
    return after_point <= int(others[3] or 0) and digits - after_point <= int(others[2]) - int(others[3] or 0)


def uses_before(entries: Mapping[str, Entry], names: Iterable[str]) -> Uses:
    """Return what a release used that lacks these migrations. `entries`: in the order in which they are applied."""
    names = {*names}
    uses: dict[str, Mapping[str, UsedColumn]] = {}
    made: set[str] = set()
    for name in (name for name in entries if name in names):
        for table, columns in entries[name]["before"].items():
            if table not in made:
                uses.setdefault(table, columns)
        made.update(change["table"] for change in entries[name]["changes"] if change["what"] == "table new")
    return uses


def kind_of(change: Change) -> str:
    """Return the change's key in CURES."""
    return change["what"].replace("gone", "renamed") if "to" in change else change["what"]


def sentence(change: Change) -> str:
    """Return in words what changed in the database."""
    column = f"{change['table']}.{change.get('column', '')}".rstrip(".")
    columns = f"({', '.join(change.get('columns', ()))})"
    texts = {
        "table gone": "table {table} is gone",
        "table renamed": "table {table} is now {to}",
        "column gone": "column {where} is gone",
        "column renamed": "column {where} is now {to}",
        "column replaced": "column {where} is another one now: what it held is elsewhere",
        "computed": "table {table} computes what fails for some rows: {text}",
        "column new": "column {where} is new, NOT NULL and without a default in the database",
        "not null": "column {where} is NOT NULL now",
        "default gone": "column {where} has no default in the database any more",
        "type": "column {where} is {new} now, no longer {old}",
        "generated": "the database computes column {where}, which no INSERT may give",
        "labels": "column {where} no longer takes {labels}",
        "domain": "column {where} takes only {text}",
        "unique": "table {table} takes no second row of the same {columns}",
        "exclude": "table {table} has a new constraint, {text}",
        "check": "table {table} has a new constraint, CHECK {text}",
        "foreign key": "table {table} takes only rows whose {columns} another table has",
        "denied": "table {table}: {text}",
        "other": "{where}: {text}",
    }
    labels = ", ".join(change.get("gone", ()))
    values = {**change, "where": column, "columns": columns, "labels": labels}
    return texts[kind_of(change)].format_map(values)
