"""Files in the database, on each: the cases in filed/, a Django app, are run by Django's own test command; and what
takes processes of their own."""

import json
import sqlite3

import psycopg2
import pytest
from blobs.commands import OFF, PATH, code, manage, python

from proc import ROOT, run

SIZE = 64 * 1024 * 1024


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_cases(vendor, postgres):
    """A run of Django's tests, each case of which tells what it shows."""
    url = "sqlite://:memory:" if vendor == "sqlite" else postgres.url(postgres.database(migrated=False))
    done = python("-m", "django", "test", "filed.cases", TEST_DATABASE_URL=url)
    assert done.returncode == 0 and "\nOK" in done.stderr, done.stdout + done.stderr


LOADED = """
import json
from django.urls import resolve
resolve("/")
print(json.dumps([name for name in sys.modules if name.startswith("slipway.files")]))
"""


def test_nothing_of_it_unless_it_is_asked_for(tmp_path):
    """No table, no module. Off again, the tables stay, and nobody misses a migration; files are there when it
    is on once more, and go with the tables."""
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    manage(url, "migrate", "-v0", **OFF)
    with sqlite3.connect(tmp_path / "db.sqlite3") as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert "slipway_heartbeat" in tables and not [name for name in tables if "blobs" in name]
    manage(url, "migrate", "-v0")
    code(url, "s.save('a', ContentFile(b'kept'))")
    for words in (("migrate", "-v0"), ("makemigrations", "--check")):
        manage(url, *words, **OFF)
    assert code(url, "print(s.open('a').read().decode())") == "kept\n"
    manage(url, "migrate", "-v0", "slipway_blobs", "zero")
    done = python("-m", "django", "movefiles", "/nowhere", "database:", TEST_DATABASE_URL=url, **OFF)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: database: is not there: STORAGE_URL=database: makes it so")
    off, on = json.loads(code(url, LOADED, **OFF)), json.loads(code(url, LOADED))
    assert off == [] and "slipway.files.views" in on


def test_the_build_judges_it(tmp_path):
    """Though only a server may know that files are in the database: a deploy runs no migration that nobody judged."""
    done = python("-m", "slipway.schema.verdicts", tmp_path / "verdicts.json", ROOT / "requirements.txt", **OFF)
    assert done.returncode == 0, done.stderr
    verdicts = json.loads((tmp_path / "verdicts.json").read_text())["vendors"]["sqlite"]
    assert verdicts["slipway_blobs.0001_files"] == {"verdict": "ok", "messages": []}


SAVE = "for n in range(20): s.save(f'a/{n}', ContentFile(random.Random(n).randbytes(n * 100_000)))"
COMPARE = """
print([*map(int, sorted(s.listdir("a")[1], key=int))] == [*range(20)],
      all(s.open(f"a/{n}").read() == random.Random(n).randbytes(n * 100_000) for n in range(20)))
"""


def test_a_dump_is_a_backup(postgres, postgresql_made, tmp_path):
    """Restored into another database it has rows and files, all of them whole. Postgres does not compress them: parts
    are read without the rest."""
    with psycopg2.connect(postgresql_made) as database, database.cursor() as cursor:
        cursor.execute("SELECT attstorage FROM pg_attribute WHERE attrelid = 'slipway_blobs_chunk'::regclass"
                       " AND attname = 'data'")
        assert cursor.fetchone() == ("e",)
    code(postgresql_made, SAVE)
    dump, name = ["--format=custom", f"--file={tmp_path}/dump", postgresql_made], postgres.database(migrated=False)
    for program, *words in (["pg_dump", *dump], ["pg_restore", f"--dbname={postgres.url(name)}", tmp_path / "dump"]):
        done = run([postgres.bin / program, *words])
        assert done.returncode == 0, done.stderr
    assert code(postgres.url(name), COMPARE) == "True True\n"


UP_AND_DOWN = """
import io
from django.core.files import File

class Zeros(io.RawIOBase):
    left = int(sys.argv[1])

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), self.left)
        self.left -= count
        buffer[:count] = bytes(count)
        return count

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

s.save("first", ContentFile(bytes(2_000_000)))
size = sum(map(len, s.open("first").chunks()))
before = most()
s.save("large", File(Zeros(), ""))
size = sum(map(len, s.open("large").chunks()))
print(size, most() - before)
"""


def test_memory_does_not_grow_with_files(postgresql_made, tmp_path):
    """Not even in development, where Django remembers queries."""
    (tmp_path / "measured.py").write_text("from filed.settings import *\nDEBUG = True\n")
    said = code(postgresql_made, UP_AND_DOWN, str(SIZE), fresh=True, DJANGO_SETTINGS_MODULE="measured",
                PYTHONPATH=f"{tmp_path}:{PATH}")
    size, kilobytes = map(int, said.split())
    assert size == SIZE and kilobytes < 8_000
