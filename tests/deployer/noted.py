"""The migrations.json of builds."""

import json

USED = {"shop_item": {"note": {"type": "text", "null": True}}, "lock_lock": {"note": {}}}


def less(table, **more):
    """Return the entry of a migration that drops a column, which models of before used."""
    return {
        "changes": [{"what": "column gone", "table": table, "column": "note"}],
        "before": {table: {"note": {}}},
        **more,
    }


OK, ERROR = {"changes": [], "before": {}}, less("shop_item")
MADE = {"changes": [{"what": "table new", "table": "lock_lock"}], "before": {}}


def build(uses=USED, **vendors):
    """Return the migrations.json of a build: vendor → migration → entry."""
    by_vendor = {vendor: noted(entries, uses) for vendor, entries in vendors.items()}
    return json.dumps({"version": 3, "vendors": by_vendor})


def older(**verdicts):
    """Return that of an older build: migration → verdict."""
    entries = {
        name.replace("__", "."): {"verdict": verdict, "messages": ["it drops a column"]}
        for name, verdict in verdicts.items()
    }
    return json.dumps({"version": 2, "vendors": {"postgresql": entries}})


def noted(entries, uses=USED):
    """Return what is noted for one kind of database."""
    return {"migrations": entries, "uses": uses}
