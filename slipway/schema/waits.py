"""Judge who waits for pending migrations here, by what the build saw them lock and by the tables' sizes."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management import CommandError
from django.db import connection

from slipway.make.verdicts import sentence

from .locks import CHANGED, READ, WAITS, WORK, Lock
from .rules import noted_in

FILE = Path("migrations.json")  # of the image: the verdicts of its build
SIZES = """SELECT name, sum(pg_total_relation_size(c.oid))::bigint, sum(greatest(c.reltuples, 0))::bigint
FROM unnest(%s::text[]) name JOIN pg_class c ON c.relkind IN ('r', 'm') AND (c.oid = to_regclass(name) OR c.oid IN (
SELECT relid FROM pg_partition_tree(to_regclass(name)))) GROUP BY name"""
# Bytes a second on a slow server.
RATES = {CHANGED: 10_000_000, READ: 10_000_000, "rewritten": 20_000_000, "scanned": 100_000_000}
BRIEF = 0.1  # seconds: shorter work on a table is not told
CURES = {
    CHANGED: "change rows in a migration of their own, in batches, with atomic = False",
    READ: "fill the other table in a migration of its own, in batches, with atomic = False",
    "rewritten": "add a new column, fill it in batches, then use it",
    "scanned": "add a constraint NOT VALID, then VALIDATE it in a later migration; build an index concurrently",
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
        seconds = sum(sizes.get(table, (0,))[0] / RATES[kind] for table, kind in lock["work"].items())
        if seconds < BRIEF:
            continue
        slowest = max(lock["work"].values(), key=WORK.index)
        too_long = seconds > most and lock["waits"] != WAITS[1]
        time = "duration unknown" if slowest in (READ, CHANGED) else f"about {seconds:.1f} s"
        cure = f": {CURES[slowest]}" if too_long else ""
        say(f"lock: {name}: {sentence(**lock, named=partial(name_and_size, sizes))}, {time}{cure}")
        long = long or too_long
    if long:
        raise CommandError(TOO_LONG.format(most))


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
