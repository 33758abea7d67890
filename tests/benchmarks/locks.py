"""Compare the verdicts on whom migrations lock, made on empty tables, with the truth on large ones. Print both.

    ve/bin/python tests/benchmarks/locks.py

While each migration of tests/ops/test_locks.py runs, one session reads a row of the table, one writes a row of it, and
one writes a row of another table, again and again; the longest of their waits counts.
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

ROWS = 2_000_000
WAITED = 0.06  # seconds; shorter waits are noise
QUIET = f"ALTER TABLE {ORDER} SET (autovacuum_enabled = off)"  # a migration would wait for autovacuum
FILL = (
    f"INSERT INTO {ORDER} (short, long, number, free, price) SELECT 'short', 'a long', 1 + n % 9999, 'free', 1 FROM"
    f" generate_series(1, {ROWS}) n; INSERT INTO {LINE} (note) SELECT 'a note' FROM generate_series(1, {ROWS})"
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


def main():
    with new_postgres() as postgres, tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        project, url = written(Path(folder, "project")), postgres.url(postgres.database(migrated=False))
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "DATABASE_URL": url}
        migrate = partial(python, "-m", "django", "migrate", "-v0", "xshop", cwd=project, env=env)
        passed(verdicts(project, url=url))
        passed(migrate("0001"))
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"{QUIET}; {FILL}")
        for name in CASES:
            migration = pool.submit(migrate, name)
            waits = {who: pool.submit(longest, url, sql, migration) for who, sql in ASKED.items()}
            truth = {who: f"{wait.result():.2f} s" for who, wait in waits.items() if wait.result() > WAITED}
            passed(migration.result())
            locks = in_build(project)["vendors"]["postgresql"][f"xshop.{name}"].get("locks", [])
            told = {who for who in ASKED for lock in locks if lock["table"] == who[0] and who[1] in lock["waits"]}
            print(f"{name:14} {'right' if truth.keys() == told else 'WRONG'}  waited: {truth}  told: {sorted(told)}")


if __name__ == "__main__":
    main()
