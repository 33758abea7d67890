"""Programs that use the mount: many writers, large files, SQLite."""

import hashlib
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

WRITER = """
import os, sys
name, number = sys.argv[1], int(sys.argv[2])
own = os.open(f"{name}-{number}", os.O_CREAT | os.O_WRONLY)
shared = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
for line in range(100):
    os.write(own, bytes([number]) * 10_000)
    os.write(shared, b"%02d %03d\\n" % (number, line))
os.fsync(own)
"""


def test_20_writers_at_once_lose_nothing(tapemock):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, "shared", str(number)], cwd=tapemock.mount)
               for number in range(20)]
    assert [writer.wait(60) for writer in writers] == [0] * 20
    for folder in (tapemock.mount, tapemock.source):
        lines = (folder / "shared").read_text().splitlines()
        assert sorted(lines) == [f"{number:02} {line:03}" for number in range(20) for line in range(100)]
        for number in range(20):
            assert (folder / f"shared-{number}").read_bytes() == bytes([number]) * 1_000_000


def test_a_large_file_comes_back_and_memory_stays_flat(tapemock):
    (tapemock.mount / "small").write_bytes(b"x" * 1_000_000)
    before, written = peak(tapemock.process), hashlib.sha256()
    block = os.urandom(1 << 20)
    with open(tapemock.mount / "large", "wb", buffering=0) as file:
        for number in range(300):
            block = number.to_bytes(8, "big") + block[8:]
            written.update(block)
            assert file.write(block) == len(block)
    for folder in (tapemock.mount, tapemock.source):
        with open(folder / "large", "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == written.hexdigest()
    assert peak(tapemock.process) - before < 40_000


def peak(process):
    """kB that it took at most."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])


def test_sqlite_works_on_it(tapemock):
    with sqlite3.connect(tapemock.mount / "db.sqlite3") as base:
        assert base.execute("pragma journal_mode=wal").fetchone() == ("wal",)
        base.execute("create table t (n)")
        base.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    with sqlite3.connect(tapemock.mount / "db.sqlite3") as other:
        assert other.execute("select sum(n) from t").fetchone() == (499500,)
    base.close()
    other.close()
    with sqlite3.connect(tapemock.source / "db.sqlite3") as below:
        assert below.execute("pragma integrity_check").fetchone() == ("ok",)
