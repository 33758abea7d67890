"""What models take for granted of the database: the tables and columns that their queries name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import NOT_PROVIDED, AutoField, Field

from .catalog import Catalog
from .rules import UsedColumn


def uses_of(models: Iterable[Any], connection: Any, catalog: Catalog) -> dict[str, dict[str, UsedColumn]]:
    """Return how these models use the database: table → column → use. Models may share a table."""
    uses: dict[str, dict[str, UsedColumn]] = {}
    for model in models:
        meta = model._meta
        if meta.proxy or meta.abstract or meta.swapped:
            continue
        name = table_name(meta.db_table, connection, catalog)
        table = catalog.table(name)
        columns = uses.setdefault(name, {})
        for field in meta.local_concrete_fields:
            if field.column:  # a composite primary key has none of its own
                of_database = table.columns.get(field.column) if table else None
                add_use(columns.setdefault(field.column, {}), field, connection)
                columns[field.column]["type"] = of_database.type if of_database else ""
    return uses


def models_of(state: Any, app: str, tables: Collection[str]) -> list[Any]:
    """Return an app's models, and those of these tables: of all models it would take as long as the migration."""
    models = state.apps.get_models(include_auto_created=True)
    return [model for model in models if model._meta.app_label == app or model._meta.db_table in tables]


def add_use(used: UsedColumn, field: Field[Any, Any], connection: Any) -> None:
    """Add how a field uses its column. Django's INSERT leaves out an automatic key and what the database computes; for
    a db_default it says DEFAULT, where the database knows that word."""
    by_default = field.db_default is not NOT_PROVIDED and connection.features.supports_default_keyword_in_insert
    if by_default or getattr(field, "generated", False) or isinstance(field, AutoField):
        used["left_out"] = True
    if field.null:
        used["null"] = True


def table_name(db_table: str, connection: Any, catalog: Catalog) -> str:
    """Return a table's name as the catalog has it."""
    name, alone = names_of(db_table, connection)
    return alone if name not in catalog.names and alone in catalog.names else name


def names_of(db_table: str, connection: Any) -> tuple[str, str]:
    """Return a table's name with the schema that quotes in Meta.db_table may name, and without."""
    parts = [part.strip('"') for part in connection.ops.quote_name(db_table).split('"."')]
    return ".".join(parts), parts[-1]
