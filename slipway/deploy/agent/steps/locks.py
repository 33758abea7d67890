"""Tables that pending migrations lock on Postgres, as `make build` saw it, and their sizes in this database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from ..attempt import Attempt
from ..host import Host, Problem
from .migrate import one_off


class Lock(TypedDict):
    migration: str
    table: str
    waits: Literal["writers of the same rows", "writers", "readers and writers"]
    work: dict[str, Literal["scanned", "rewritten", "changed row by row"]]  # table → what is done to it meanwhile


class Locked(TypedDict):
    locks: list[Lock]
    sizes: dict[str, tuple[int, int]]  # table → (bytes, rows)


def measured(host: Host, attempt: Attempt, locks: list[Lock]) -> Locked:
    """Ask the database for the tables' sizes, by the new release."""
    tables = sorted({table for lock in locks for table in (lock["table"], *lock["work"])})
    said = one_off(host, attempt, ["manage", "tablesizes", *tables], 120) if tables else "{}"
    try:
        return {"locks": locks, "sizes": json.loads(said.strip().splitlines()[-1])}
    except (ValueError, IndexError):
        raise Problem("the release did not tell the sizes of its tables: %s" % said[-200:]) from None


def parse(name: str, entry: Mapping[str, Any]) -> list[Lock]:
    """Return the locks of a migration's entry in the image's list of verdicts."""
    return [{"migration": name, "table": lock["table"], "waits": lock["waits"], "work": {**lock["work"]}}
            for lock in entry.get("locks", ())]
