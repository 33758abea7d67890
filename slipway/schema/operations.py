"""Tells what the operations of a migration do to old code, as far as that is known without a database."""

import re
from collections.abc import Iterator
from copy import copy
from typing import Any

from django.db.migrations import (
    AddField,
    AlterField,
    DeleteModel,
    Migration,
    RemoveField,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
)
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import NOT_PROVIDED

CURES = {
    "NOT_NULL": "give it db_default=…, or null=True in this release, and NOT NULL in the next one",
    "DROP_COLUMN": "in two releases: the first no longer uses the field (with null=True or db_default=…, so that"
    " inserts need no value), the next one removes it",
    "DROP_TABLE": "in two releases: the first no longer uses the model, the next one removes it",
    "RENAME_COLUMN": "keep the column with db_column=…; or in two releases: add a new one and use both, then remove the"
    " old one",
    "RENAME_TABLE": "keep the table with Meta.db_table; or in two releases: add a new one and use both, then remove the"
    " old one",
    "ALTER_COLUMN": "in two releases: add a column of the new type and use both, then remove the old one",
    "ADD_UNIQUE": "in two releases: the first writes no duplicates, the next one adds the constraint",
    "ADD_CHECK": "in two releases: the first writes nothing that it forbids, the next one adds the constraint",
    "RUNPYTHON_MODEL_IMPORT": "use apps.get_model",
}
CODES = {
    RemoveField: "DROP_COLUMN",
    DeleteModel: "DROP_TABLE",
    RenameField: "RENAME_COLUMN",
    RenameModel: "RENAME_TABLE",
}


def breaking_changes(migration: Migration, state: ProjectState) -> Iterator[str]:
    """Yield each operation after which old code fails, with the cure. `state` is of before the migration, and then of
    after it. A table that the migration creates is none of old code's."""
    app = migration.app_label
    before = {*state.models}
    for operation in migration.operations:
        names = (getattr(operation, kind, "").lower() for kind in ("model_name", "old_name", "name"))
        key = app, next(filter(None, names), "")
        if key in before and key in state.models and (code := breaking_code(operation, state.models[key])):
            yield f"{operation.describe()}: {CURES[code]}"
        operation.state_forwards(app, state)


def breaking_code(operation: Any, model: ModelState) -> str:
    """Return the key in CURES, or "" if old code works on."""
    old = model.fields.get(getattr(operation, "old_name", "") or getattr(operation, "name", ""))
    if model.options.get("proxy") or not model.options.get("managed", True):
        return ""
    if isinstance(operation, RenameField) and old and old.db_column:
        return ""
    if isinstance(operation, RenameModel) and model.options.get("db_table"):
        return ""
    if not_null_columns(operation) and (old is None or old.null):
        return "NOT_NULL"
    return CODES.get(type(operation), "")


def not_null_columns(operation: Any) -> list[str]:
    """Return MODEL.NAME of a NOT NULL column that is added or altered without a database default."""
    if not isinstance(operation, AddField | AlterField) or operation.field.null or operation.field.many_to_many:
        return []
    without = operation.field.db_default is NOT_PROVIDED and not operation.field.generated
    return [f"{operation.model_name}.{operation.field.db_column or operation.name}"] if without else []


def runs_code(operation: Any) -> bool:
    """Return True for Python or a DO block, whose work on rows a run on empty tables does not show."""
    return any(
        (isinstance(inner, RunPython) and inner.code is not RunPython.noop)
        or (isinstance(inner, RunSQL) and bool(re.search(r"\bDO\b", str(inner.sql))))
        for inner in getattr(operation, "database_operations", [operation])
    )


def without_reverse_sql(migration: Any) -> Any:
    """Return the migration without RunSQL's SQL to reverse it, which a deploy never executes."""
    copied = copy(migration)
    copied.operations = [copy(operation) for operation in migration.operations]
    for operation in copied.operations:
        if isinstance(operation, RunSQL) and operation.reversible:
            operation.reverse_sql = RunSQL.noop
    return copied
