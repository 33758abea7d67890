"""Judge who waits for pending migrations here, by what the build saw them lock and by the tables' sizes."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management import CommandError
from django.db import connection

from slipway.make.verdicts import sentence

from .locks import CHANGED, READ, REWRITTEN, SCANNED, WAITS, Lock
from .rules import noted_in

FILE = Path("migrations.json")  # of the image: the verdicts of its build
SIZES = """SELECT name, sum(pg_table_size(c.oid))::bigint, sum(greatest(c.reltuples, 0))::bigint
FROM unnest(%s::text[]) name JOIN pg_class c ON c.relkind IN ('r', 'm') AND (c.oid = to_regclass(name) OR c.oid IN (
SELECT relid FROM pg_partition_tree(to_regclass(name)))) GROUP BY name"""
EXCLUDE = "indexed for EXCLUDE"
RATES = {CHANGED: 10_000_000, READ: 10_000_000, REWRITTEN: 40_000_000}  # bytes a second on a slow server
SCAN = 100_000_000  # and to read a table once, for whatever else
ROW = {  # seconds for each row of a table whose indexes are built: measured on slow servers, and rounded up
    SCANNED: 0.000_000_3,
    "indexed by brin": 0.000_000_3,
    "indexed by btree": 0.000_003,
    "indexed by btree of expressions": 0.000_006,
    "indexed by hash": 0.000_005,
    "indexed by spgist": 0.000_01,
    "indexed by gin": 0.000_025,
    "indexed by gist": 0.000_025,
    "indexed by gin of expressions": 0.000_06,
    EXCLUDE: 0.000_1,
}
OTHER = 0.000_06  # such as an index of an extension
WIDTH = 100  # bytes of a row, if the table was never analyzed
BRIEF = 0.1  # seconds: shorter work on a table is not told
CURES = {  # the first one that fits
    CHANGED: "change rows in a migration of their own, in batches, with atomic = False",
    READ: "fill the other table in a migration of its own, in batches, with atomic = False",
    REWRITTEN: "add a new column, fill it in batches, then use it; leave VACUUM FULL and CLUSTER to a maintenance",
    EXCLUDE: "no such index can be built concurrently: add the constraint in a maintenance",
    SCANNED: "add a constraint NOT VALID, then VALIDATE it in a later migration",
    "indexed": "build an index concurrently, REINDEX likewise",
}
TOO_LONG = (
    "tables would be locked for longer than rollout.max_lock, {:g} s: change these migrations as said above, or"
    " take the risk with --allow-locks"
)
THOUSANDS = ("", " thousand", " million", " billion")
BYTES = (" bytes", " kB", " MB", " GB", " TB")
Say = Callable[[str], Any]


def judge(names: Iterable[str], most: float, say: Say) -> None:
    """Check the locks of these migrations with the tables of this database."""
    if not FILE.exists():
        return
    noted = noted_in(json.loads(FILE.read_text())).get(connection.vendor)
    entries = noted["migrations"] if noted else {}
    locks = [(name, lock) for name in names if name in entries for lock in entries[name].get("locks", ())]
    if not locks:
        return
    tables = {table for _, lock in locks for table in (lock["table"], *lock["work"])}
    with connection.cursor() as cursor:
        cursor.execute(SIZES, [list(tables)])
        sizes = {table: size for table, *size in cursor.fetchall()}
    check(locks, sizes, most, say)


def check(locks: Iterable[tuple[str, Lock]], sizes: Mapping[str, Sequence[int]], most: float, say: Say) -> None:
    """Say who waits for large tables. Raise CommandError if anybody waits longer than `most` seconds for a whole table.
    `locks`: (migration, lock); `sizes`: table → (bytes, rows)."""
    long = False
    for name, lock in locks:
        seconds = sum(seconds_of(kinds, *sizes.get(table, (0, 0))) for table, kinds in lock["work"].items())
        if seconds < BRIEF:
            continue
        kinds = {kind for kinds in lock["work"].values() for kind in kinds}
        too_long = seconds > most and lock["waits"] != WAITS[1]
        time = "duration unknown" if kinds & {READ, CHANGED} else f"about {seconds:.1f} s"
        cure = f": {cure_of(kinds)}" if too_long else ""
        say(f"lock: {name}: {sentence(**lock, named=partial(name_and_size, sizes))}, {time}{cure}")
        long = long or too_long
    if long:
        raise CommandError(TOO_LONG.format(most))


def cure_of(kinds: Iterable[str]) -> str:
    return next(cure for start, cure in CURES.items() if any(kind.startswith(start) for kind in kinds))


def seconds_of(kinds: Mapping[str, int], size: int, rows: int) -> float:
    """Return how long work on a table takes. Indexes cost by its rows: what is not its own time is read once."""
    copied = sum(size / RATES[kind] * times for kind, times in kinds.items() if kind in RATES)
    by_row = sum(ROW.get(kind, OTHER) * times for kind, times in kinds.items() if kind not in RATES)
    rows = rows or size // WIDTH
    return max(copied, size / SCAN) + rows * by_row


def name_and_size(sizes: Mapping[str, Sequence[int]], table: str) -> str:
    """Return a table's name and size, such as "orders (48 million rows, 6 GB)"."""
    size, rows = sizes.get(table, (0, 0))
    if rows <= 0:
        return f"{table} ({short_number(size, BYTES)})"
    return f"{table} ({short_number(rows, THOUSANDS)} rows, {short_number(size, BYTES)})"


def short_number(number: int, units: tuple[str, ...]) -> str:
    """Return a number such as "48 million"."""
    power = min((len(str(number)) - 1) // 3, len(units) - 1)
    return f"{round(number / 1000**power, 1):g}{units[power]}"
