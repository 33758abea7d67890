"""Tests of files in the database. Django's own test command runs the cases in filed/, a Django app, on each database;
the other tests need processes of their own."""

import sqlite3

import psycopg2
import pytest

from blobs.commands import OFF, PATH, code, manage, python


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_cases(vendor, postgres):
    """Django's own test command passes on each database."""
    url = "sqlite://:memory:" if vendor == "sqlite" else postgres.url(postgres.database(migrated=False))
    done = python("-m", "django", "test", "filed.cases", TEST_DATABASE_URL=url)
    assert done.returncode == 0 and "\nOK" in done.stderr, done.stdout + done.stderr


def test_nothing_of_it_unless_it_is_asked_for(tmp_path):
    """The tables exist only if the storage is used. If it is switched off, the tables stay and no migration is missing.
    If it is switched on again, the files are there. They are deleted with the tables."""
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
    assert done.stderr.startswith("CommandError: there is no storage in the database: run this command with")


UP_AND_DOWN = """
large = ContentFile(b"")
large.chunks = lambda size: (bytes(1_000_000) for _ in range(64))

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

s.save("first", ContentFile(bytes(2_000_000)))
size = sum(map(len, s.open("first").chunks()))
before = most()
s.save("large", large)
size = sum(map(len, s.open("large").chunks()))
print(size, most() - before)
"""


def test_large_files(postgresql_made, tmp_path):
    """Memory does not grow with large files, even in development, where Django records queries. Postgres does not
    compress them, so that it can read parts without the rest."""
    (tmp_path / "measured.py").write_text("from filed.settings import *\nDEBUG = True\n")
    said = code(postgresql_made, UP_AND_DOWN, DJANGO_SETTINGS_MODULE="measured", PYTHONPATH=f"{tmp_path}:{PATH}")
    size, kilobytes = map(int, said.split())
    assert size == 64_000_000 and kilobytes < 8_000
    with psycopg2.connect(postgresql_made) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT attstorage FROM pg_attribute WHERE attrelid = 'slipway_blobs_chunk'::regclass AND attname = 'data'"
        )
        assert cursor.fetchone() == ("e",)
