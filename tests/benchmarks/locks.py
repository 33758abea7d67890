"""Compare the verdicts on whom migrations lock, made on empty tables, with the truth on large ones. Print both.

    ve/bin/python tests/benchmarks/locks.py [--rows 2000000]

While each migration of tests/ops/test_locks.py runs, one session reads a row of the table, one writes a row of it, and
one writes a row of another table, again and again; the longest of their waits counts.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg2

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]
from ops.judging import found, verdicts  # noqa: E402
from ops.test_locks import CASES, LINE, ORDER, written  # noqa: E402
from postgresql import new_postgres  # noqa: E402
from proc import passed, python  # noqa: E402

WAITED = 0.06  # seconds; shorter waits are noise
FILL = (f"INSERT INTO {ORDER} (short, long, number, free, price) SELECT 'short', 'a long', n, 'free', 1"
        " FROM generate_series(1, {0}) n", f"INSERT INTO {LINE} (note) SELECT 'a note' FROM generate_series(1, {{0}})")
ASKED = {"readers": f"SELECT number FROM {ORDER} WHERE id = 7", f"writers of {LINE}":
         f"UPDATE {LINE} SET note = note WHERE id = 7", "writers": f"UPDATE {ORDER} SET number = number WHERE id = 7"}


@contextlib.contextmanager
def waits(url):
    """Ask the tables while the block runs. Yield {who: seconds of the longest wait}, filled at the end."""
    longest, over = dict.fromkeys(ASKED, 0.0), threading.Event()

    def ask(who):
        with contextlib.closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            while not over.is_set():
                began = time.monotonic()
                with connection.cursor() as cursor:
                    cursor.execute(ASKED[who])
                longest[who] = max(longest[who], time.monotonic() - began)
                over.wait(0.005)
    threads = [threading.Thread(target=ask, args=[who]) for who in ASKED]
    for thread in threads:
        thread.start()
    try:
        yield longest
    finally:
        over.set()
        for thread in threads:
            thread.join()


def told(locks):
    """Return who waits for these locks, by the verdict."""
    by_table = {lock["table"]: lock["waits"] for lock in locks}
    writers = {who for who, table in (("writers", ORDER), (f"writers of {LINE}", LINE)) if table in by_table}
    return writers | ({"readers"} if "readers" in by_table.get(ORDER, "") else set())


def measure(project, url, rows):
    """Migrate step by step. Yield (migration, verdict, truth) with who waits."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "DATABASE_URL": url}

    def migrate(name):
        passed(python("-m", "django", "migrate", "-v0", "xshop", name, cwd=project, env=env))
    migrate("0001")
    with contextlib.closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for sql in FILL:
            cursor.execute(sql.format(rows))
    judged = found(project)["vendors"]["postgresql"]
    for name in CASES:
        with waits(url) as longest:
            migrate(name)
        yield name, told(judged[f"xshop.{name}"].get("locks", [])), longest


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    rows = parser.parse_args().rows
    with new_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        project, url = written(Path(folder, "project")), postgres.url(postgres.database(migrated=False))
        passed(verdicts(project, url=url))
        for name, verdict, longest in measure(project, url, rows):
            truth = {who for who, seconds in longest.items() if seconds > WAITED}
            shown = ", ".join(f"{who} {seconds:.2f} s" for who, seconds in longest.items())
            print(f"{name:14} {'right' if truth == verdict else 'WRONG'}  {shown}  told: {', '.join(sorted(verdict))}")


if __name__ == "__main__":
    main()
