"""Tables that pending migrations lock on Postgres, as `make build` saw it, and their sizes in this database."""

from __future__ import annotations

import json
from typing import Literal, TypedDict

from ..attempt import Attempt
from ..host import Host, Problem
from .migrate import one_off


class Lock(TypedDict):
    migration: str
    table: str
    waits: Literal["writers of the same rows", "writers", "readers and writers"]
    work: dict[str, Literal["scanned", "rewritten", "changed row by row"]]  # table → what is done to it meanwhile
    sizes: dict[str, tuple[int, int]]  # table → (bytes, rows)


def measured(host: Host, attempt: Attempt, locks: list[Lock]) -> list[Lock]:
    """Ask the database for the tables' sizes, by the new release."""
    tables = sorted({table for lock in locks for table in (lock["table"], *lock["work"])})
    said = one_off(host, attempt, ["manage", "tablesizes", *tables], 120) if tables else "{}"
    try:
        sizes = json.loads(said.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise Problem("the release did not tell the sizes of its tables: %s" % said[-200:]) from None
    return [{**lock, "sizes": sizes} for lock in locks]
