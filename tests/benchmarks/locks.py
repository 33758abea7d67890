"""Compare the verdicts on whom migrations lock, made on empty tables, with the truth on large ones. Print both.

    ve/bin/python tests/benchmarks/locks.py

While each migration of tests/ops/test_locks.py runs, one session reads a row of the table, one writes a row of it, and
one writes a row of another table, again and again; the longest of their waits counts, and what a deploy would say of
it.
"""

import os
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg2

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]
from ops.judging import in_build, verdicts  # noqa: E402
from ops.test_locks import CASES, LINE, ORDER, written  # noqa: E402
from postgresql import new_postgres  # noqa: E402
from proc import passed, python  # noqa: E402
from slipway.schema.waits import SIZES, seconds_of  # noqa: E402

ROWS = 1_000_000
WAITED = 0.06  # seconds; shorter waits are noise
QUIET = f"ALTER TABLE {ORDER} SET (autovacuum_enabled = off)"  # a migration would wait for autovacuum
FILL = (
    f"INSERT INTO {ORDER} (short, long, number, free, price, during) SELECT md5(n::text)::varchar(20), 'a long',"
    " 1 + n % 9999, (SELECT string_agg(md5((n + m)::text), ' ') FROM generate_series(1, 3) m), 1,"
    " tstzrange(now() + n * interval '1 hour', now() + (n + 1) * interval '1 hour')"
    f" FROM generate_series(1, {ROWS}) n;"
    f"INSERT INTO {LINE} (note) SELECT 'a note' FROM generate_series(1, {ROWS}); ANALYZE"
)
ASKED = {
    (ORDER, "readers"): f"SELECT number FROM {ORDER} WHERE id = %s",
    (ORDER, "writers"): f"UPDATE {ORDER} SET number = number WHERE id = %s",
    (LINE, "writers"): f"UPDATE {LINE} SET note = note WHERE id = %s",
}


def longest(url, sql, migration):
    """Execute it while the migration runs, each time for another row. Return the seconds of the longest wait."""
    waits = [0]
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        while not migration.done():
            began = time.monotonic()
            cursor.execute(sql, [random.randrange(1, ROWS)])
            waits.append(time.monotonic() - began)
            time.sleep(0.005)
    return max(waits)


def said(url, locks):
    """Return how many seconds a deploy would say of these locks."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(SIZES, [[table for lock in locks for table in lock["work"]]])
        sizes = {table: size for table, *size in cursor}
    return [
        round(sum(seconds_of(kinds, *sizes.get(table, (0, 0))) for table, kinds in lock["work"].items()), 1)
        for lock in locks
    ]


def main():
    with new_postgres() as postgres, tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        project, url = written(Path(folder, "project")), postgres.url(postgres.database(migrated=False))
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "DATABASE_URL": url}
        migrate = partial(python, "-m", "django", "migrate", "-v0", "xshop", cwd=project, env=env)
        passed(verdicts(project, url=url))
        passed(migrate("0001"))
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"{QUIET}; {FILL}")
        for name in sys.argv[1:] or CASES:
            locks = in_build(project)["vendors"]["postgresql"]["migrations"][f"xshop.{name}"].get("locks", [])
            seconds = said(url, locks)
            migration = pool.submit(migrate, name)
            waits = {who: pool.submit(longest, url, sql, migration) for who, sql in ASKED.items()}
            truth = {who: f"{wait.result():.2f} s" for who, wait in waits.items() if wait.result() > WAITED}
            passed(migration.result())
            told = {who for who in ASKED for lock in locks if lock["table"] == who[0] and who[1] in lock["waits"]}
            right = "right" if truth.keys() == told else "WRONG"
            print(f"{name:22} {right}  waited: {truth}  told: {sorted(told)}, {seconds} s", flush=True)


if __name__ == "__main__":
    main()
