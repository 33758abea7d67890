"""Compare the verdicts on whom migrations lock, made on empty tables, with the truth on large ones. Print both.

    ve/bin/python tests/benchmarks/locks.py

While each migration of tests/ops/test_locks.py runs, one session reads a row of the table, one writes a row of it, and
one writes a row of another table, again and again; the longest of their waits counts.
"""

import contextlib
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg2

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]
from ops.judging import found, verdicts  # noqa: E402
from ops.test_locks import CASES, LINE, ORDER, asked, written  # noqa: E402
from postgresql import new_postgres  # noqa: E402
from proc import passed, python  # noqa: E402

ROWS = 2_000_000
WAITED = 0.06  # seconds; shorter waits are noise
FILL = (f"INSERT INTO {ORDER} (short, long, number, free, price) SELECT 'short', 'a long', n, 'free', 1 FROM"
        f" generate_series(1, {ROWS}) n; INSERT INTO {LINE} (note) SELECT 'a note' FROM generate_series(1, {ROWS})")
ASKED = {(ORDER, "readers"): f"SELECT number FROM {ORDER} WHERE id = 7",
         (ORDER, "writers"): f"UPDATE {ORDER} SET number = number WHERE id = 7",
         (LINE, "writers"): f"UPDATE {LINE} SET note = note WHERE id = 7"}


def longest(url, sql, over):
    """Execute it again and again until `over` is set. Return the seconds of the longest wait."""
    waits = [0]
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        while not over.wait(0.005):
            began = time.monotonic()
            cursor.execute(sql)
            waits.append(time.monotonic() - began)
    return max(waits)


def measure(url, migrate):
    """Migrate. Return who → seconds of the longest wait meanwhile."""
    over = threading.Event()
    with ThreadPoolExecutor() as pool:
        waits = {who: pool.submit(longest, url, sql, over) for who, sql in ASKED.items()}
        try:
            migrate()
        finally:
            over.set()
    return {who: wait.result() for who, wait in waits.items()}


def main():
    with new_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        project, url = written(Path(folder, "project")), postgres.url(postgres.database(migrated=False))
        passed(verdicts(project, url=url))

        def migrate(name):
            passed(python("-m", "django", "migrate", "-v0", "xshop", name, cwd=project, env={
                **os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "DATABASE_URL": url}))
        migrate("0001")
        asked(url, f"{FILL}; SELECT 1")
        for name in CASES:
            waits = measure(url, partial(migrate, name))
            locks = found(project)["vendors"]["postgresql"][f"xshop.{name}"].get("locks", [])
            told = {who for who in ASKED for lock in locks if lock["table"] == who[0] and who[1] in lock["waits"]}
            truth = {who for who, seconds in waits.items() if seconds > WAITED}
            shown = ", ".join(f"{' '.join(who)} {seconds:.2f} s" for who, seconds in waits.items())
            print(f"{name:14} {'right' if truth == told else 'WRONG'}  {shown}  told: {sorted(told)}")


if __name__ == "__main__":
    main()
