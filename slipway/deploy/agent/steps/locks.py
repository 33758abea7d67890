"""Tables that pending migrations lock on Postgres, as `make build` saw it, and their sizes in this database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from ..attempt import Attempt
from ..host import Host, Problem
from .migrate import one_off

WORK: Any = ("scanned", "rewritten", "changed")  # what a migration may do to a table; the slowest last


class Lock(TypedDict):
    migration: str
    table: str
    waits: Literal["rows", "writers", "readers and writers"]  # who waits; rows: who writes the same rows
    work: dict[str, Literal["scanned", "rewritten", "changed"]]  # table → what the migration does to it meanwhile


class Locked(TypedDict):
    locks: list[Lock]
    sizes: dict[str, tuple[int, int]]  # table → (bytes, rows)


def measured(host: Host, attempt: Attempt, locks: list[Lock]) -> Locked:
    """Ask the database for the tables' sizes, by the new release."""
    tables = sorted({table for lock in locks for table in (lock["table"], *lock["work"])})
    said = one_off(host, attempt, ["manage", "tablesizes", *tables], 120) if tables else "{}"
    try:
        return {"locks": locks, "sizes": {table: (int(size), int(rows)) for table, (size, rows) in json.loads(
            said.strip().splitlines()[-1]).items()}}
    except (ValueError, TypeError, AttributeError, IndexError):
        raise Problem("the release did not tell the sizes of its tables: %s" % said[-200:]) from None


def parse(name: str, entry: Mapping[str, Any]) -> list[Lock]:
    """Return the locks of a migration's entry in the image's list of verdicts."""
    return [{"migration": name, "table": str(lock["table"]), "waits": lock["waits"],
             "work": {str(table): kind for kind in WORK for table in lock[kind]}} for lock in entry.get("locks", ())]
