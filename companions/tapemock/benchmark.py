"""tapemock's pass-through beside the file system below: make companion-benchmark NAME=tapemock. Needs Debian's fuse3.

Each figure is the median of a few turns that both take, one after the other, so the ratios count. ARGS="FOLDER" names
where the files go; else it is where temporary files do."""

import contextlib
import os
import re
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tapemock.mounted import Tapemock, mounted

LARGE, BLOCK = 1 << 30, b"x" * (1 << 20)
FILES, STATS, TRANSACTIONS, TURNS = 300, 3000, 100, 3


def write(folder: Path) -> float:
    """MB a second of a large file, to the disk."""
    with timed() as took, open(folder / "large", "wb", buffering=0) as file:
        for _ in range(LARGE // len(BLOCK)):
            file.write(BLOCK)
        os.fsync(file.fileno())
    return LARGE / 1e6 / took[0]


def read(folder: Path) -> float:
    """MB a second of that file, which the page cache below may hold."""
    with timed() as took, open(folder / "large", "rb", buffering=0) as file:
        while file.read(len(BLOCK)):
            pass
    return LARGE / 1e6 / took[0]


def small(folder: Path) -> float:
    """Files a second that are made, read and removed."""
    with timed() as took:
        for number in range(FILES):
            path = folder / f"small-{number}"
            path.write_bytes(BLOCK[:4096])
            path.read_bytes()
            path.unlink()
    return FILES / took[0]


def stat(folder: Path) -> float:
    """Calls of stat a second."""
    with timed() as took:
        for _ in range(STATS):
            os.stat(folder / "large")
    return STATS / took[0]


def sqlite(folder: Path) -> float:
    """Transactions a second: journal and fsync as SQLite's defaults have it."""
    with contextlib.closing(sqlite3.connect(folder / "base")) as base:
        base.execute("create table if not exists t (n)")
        with timed() as took:
            for number in range(TRANSACTIONS):
                with base:
                    base.execute("insert into t values (?)", (number,))
    return TRANSACTIONS / took[0]


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    """Yields a list that holds the block's seconds once it has ended."""
    took: list[float] = []
    began = time.perf_counter()
    yield took
    took.append(time.perf_counter() - began)


def row(what: str, measure: Callable[[Path], float], tapemock: Tapemock) -> str:
    both = [(measure(tapemock.source), measure(tapemock.mount)) for _ in range(TURNS)]
    below, through = (statistics.median(figures) for figures in zip(*both))
    return f"| {what} | {below:,.0f} | {through:,.0f} | {through / below:.2f} |"


def memory(tapemock: Tapemock) -> float:
    """MB that it took at most."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{tapemock.process.pid}/status").read_text())
    assert found
    return int(found[1]) / 1000


ROWS = {"write 1 GiB, then fsync: MB/s": write, "read it again: MB/s": read,
        "make, read and remove a file of 4 KiB: a second": small, "stat: a second": stat,
        "SQLite: transactions a second": sqlite}


def main() -> None:
    with tempfile.TemporaryDirectory(dir=(sys.argv[1:] or [None])[0]) as folder, \
            mounted(Path(folder) / "source", Path(folder) / "mount") as tapemock:
        before = memory(tapemock)
        print("| | below | through tapemock | ratio |\n|---|---|---|---|")
        for what, measure in ROWS.items():
            print(row(what, measure, tapemock), flush=True)
        print(f"\nIts memory: {before:.0f} MB at first, {memory(tapemock):.0f} MB at most.")


if __name__ == "__main__":
    main()
