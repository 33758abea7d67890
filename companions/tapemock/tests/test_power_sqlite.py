"""What SQLite has committed is there after a power cut, where it syncs."""

import contextlib
import signal
import sqlite3
import subprocess
import sys

import pytest

INSERTS = """
import sqlite3, sys
base = sqlite3.connect("base", isolation_level=None)
base.execute("pragma journal_mode=" + sys.argv[1])
base.execute("pragma synchronous=" + sys.argv[2])
base.execute("create table if not exists t (n)")
begin = base.execute("select count(*) from t").fetchone()[0]
for number in range(begin, begin + 10000):
    base.execute("insert into t values (?)", (number,))
    print(number, flush=True)
"""


def inserted(disk, *pragmas):
    """SQLite commits until the power is cut. Returns what was said to be committed, and what is there."""
    with subprocess.Popen([sys.executable, "-c", INSERTS, *pragmas], cwd=disk.mount, text=True,
                          stdout=subprocess.PIPE) as process:
        said = [int(process.stdout.readline()) for _ in range(30)]
        process.send_signal(signal.SIGSTOP)
        disk.power_cut()
        process.kill()
        said += [int(line) for line in process.stdout.read().splitlines()]
    with contextlib.closing(sqlite3.connect(disk.mount / "base")) as base:
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)
        return said, [number for number, in base.execute("select n from t order by n")]


@pytest.mark.parametrize("pragmas", [("wal", "full"), ("truncate", "full"), ("delete", "extra")])
def test_sqlite_loses_nothing_that_is_committed(pragmas, disk):
    for _ in range(3):
        said, there = inserted(disk, *pragmas)
        assert there[:said[-1] + 1] == list(range(said[-1] + 1))


def test_sqlite_may_lose_the_last_one_where_it_does_not_sync_the_journals_removal(disk):
    """As its manual has it of synchronous=FULL."""
    said, there = inserted(disk, "delete", "full")
    assert said[-1] <= len(there) <= said[-1] + 1


def test_sqlite_that_does_not_sync_loses_it(disk):
    with contextlib.closing(sqlite3.connect(disk.mount / "base")) as base:
        base.execute("create table t (n)")
    said, there = inserted(disk, "wal", "normal")
    assert said[-1] >= len(there)
