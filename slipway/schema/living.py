"""Compare what this release uses of the database with the one that is there: somebody may have changed it by hand."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection

from .rules import Change, Uses, noted_in
from .uses import names_of

FILE = Path("migrations.json")  # of the image: what its build noted
MOST = 20  # texts
# Each column, and whether a row may leave it out, as where a trigger may fill it. They wait for no lock of a table.
COLUMNS = {
    "postgresql": """SELECT CASE WHEN pg_table_is_visible(c.oid) THEN '' ELSE n.nspname || '.' END || c.relname,
a.attname, NOT a.attnotnull OR a.atthasdef OR a.attidentity != '' OR EXISTS (SELECT FROM pg_trigger t
    WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 7 = 7)  -- before each row of an INSERT
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname !~ '^(pg_|information_schema$)'""",
    "sqlite": """SELECT m.name, c.name, NOT c."notnull" OR c.dflt_value IS NOT NULL OR c.pk OR c.hidden
FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c WHERE m.type IN ('table', 'view')""",
}


def lacking(pending: Iterable[str]) -> list[str]:
    """Return what this release will miss in the database after the `pending` migrations; [] if the image does not say
    what it uses. Raises DatabaseError if the database does not answer."""
    noted = noted_in(json.loads(FILE.read_text())) if FILE.exists() else {}
    own = noted.get(connection.vendor)
    if own is None or own["uses"] is None:
        return []
    models = apps.get_models(include_auto_created=True)
    installed = {name for model in models for name in names_of(model._meta.db_table, connection)}
    uses = {table: columns for table, columns in own["uses"].items() if table in installed}
    changes = [change for name in pending for change in own["migrations"].get(name, {"changes": []})["changes"]]
    living: dict[str, dict[str, Any]] = {}
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS[connection.vendor])
        for table, column, optional in cursor.fetchall():
            living.setdefault(table, {})[column] = optional
    texts = [*differences(uses, living, changes)]
    return [*texts[:MOST], *([f"{len(texts) - MOST} more"] if len(texts) > MOST else [])]


def differences(uses: Uses, living: Mapping[str, Mapping[str, Any]], pending: Iterable[Change]) -> Iterator[str]:
    """Yield what a release `uses` that the `living` database (table → column → whether a row may leave it out) will not
    have after the `pending` changes. What no migration made in the build, the migrations do not promise."""
    changes = [*pending]
    moved = {change["table"] for change in changes if change["what"] in ("table new", "table gone")}
    touched = {(change["table"], change.get(key, "")) for change in changes for key in ("column", "to")}
    for table, columns in uses.items():
        known = {column for column, used in columns.items() if used.get("type")}
        if not known or table in moved:
            continue
        if table not in living:
            yield f"table {table} is missing"
            continue
        for column in sorted(known):
            if column not in living[table] and (table, column) not in touched:
                yield f"column {table}.{column} is missing"
        for column, optional in living[table].items():
            if column not in columns and not optional and (table, column) not in touched:
                yield f"column {table}.{column} is NOT NULL and without a default, and this release does not know it"
