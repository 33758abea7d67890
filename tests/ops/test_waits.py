"""How long a deploy says that a migration keeps others waiting: by its locks, and by the tables' sizes."""

import contextlib

import psycopg2
import pytest
from django.core.management import CommandError

from ops.test_locks import ALL, BTREE, LINE, ORDER, REWRITTEN, ROWS, SCANNED, UPDATED, WORDS, WRITERS, lock
from slipway.schema import waits

LARGE, MIDDLE, SMALL = [6 * 10**9, 48_000_000], [150 * 10**6, 0], [8192, 100]
LONG, ROW = f"{ORDER} (48 million rows, 6 GB): ", "wait while it is changed row by row, duration unknown"
TOLD = [  # a lock, the tables' sizes → the line, and which cure it names if the deploy is refused
    (
        REWRITTEN,
        {ORDER: LARGE},
        f"{LONG}readers and writers wait while it is rewritten and indexed by btree, about 294.0 s",
        "rewritten",
    ),
    (
        lock(ALL, "rewritten", "rewritten"),
        {ORDER: MIDDLE},
        f"{ORDER} (150 MB): readers and writers wait while it is rewritten (2 times), about 7.5 s",
        "rewritten",
    ),
    (SCANNED, {ORDER: MIDDLE}, f"{ORDER} (150 MB): readers and writers wait while it is scanned, about 1.9 s", ""),
    (
        lock(WRITERS, "scanned", table=LINE, of=ORDER),
        {ORDER: LARGE, LINE: SMALL},
        f"{LINE} (100 rows, 8.2 kB): writers wait while {ORDER} (48 million rows, 6 GB) is scanned, about 74.4 s",
        "scanned",
    ),
    (
        lock(WRITERS, BTREE, BTREE, WORDS),
        {ORDER: [315 * 10**6, 1_000_000]},
        f"{ORDER} (1 million rows, 315 MB): writers wait while it is indexed by btree (2 times) and indexed by gin of"
        " expressions, about 69.2 s",
        "indexed",
    ),
    (lock(ALL, ROWS), {ORDER: LARGE}, f"{LONG}readers and writers {ROW}", ROWS),
    (
        lock(ALL, "rewritten", table=LINE, **{ORDER: ["read"]}),
        {ORDER: LARGE},
        f"{LINE} (0 bytes): {ALL}"
        f" wait while it is rewritten and {ORDER} (48 million rows, 6 GB) is read, duration unknown",
        "read",
    ),
    (UPDATED, {ORDER: LARGE}, f"{LONG}writers of the same rows {ROW}", ""),
    (lock(ALL, ROWS), {ORDER: SMALL}, "", ""),
]


@pytest.mark.parametrize("lock, sizes, line, cure", TOLD)
def test_who_waits_for_how_long(lock, sizes, line, cure):
    said = []
    with pytest.raises(CommandError, match="max_lock, 2 s") if cure else contextlib.nullcontext():
        waits.check([("shop.0002", lock)], sizes, 2, said.append)
    cure = f": {waits.CURES[cure]}" if cure else ""
    assert said == ([f"lock: shop.0002: {line}{cure}"] if line else [])


def test_the_size_of_a_table(postgres):
    """A partitioned table is as large as its partitions, without indexes; one never analyzed takes no rows away.
    A materialized view has a size, too."""
    url = postgres.url(postgres.database(migrated=False))
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE part (n int) PARTITION BY RANGE (n); CREATE TABLE rest PARTITION OF part DEFAULT;"
            "INSERT INTO rest VALUES (1), (2); CREATE INDEX ON rest (n);"
            "CREATE MATERIALIZED VIEW m AS SELECT * FROM part; ANALYZE;"
            "CREATE TABLE later PARTITION OF part FOR VALUES FROM (3) TO (9)"
        )
        cursor.execute(waits.SIZES, [["part", "m"]])
        assert {*cursor} == {("part", 8192, 2), ("m", 8192, 2)}
