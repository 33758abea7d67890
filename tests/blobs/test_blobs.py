"""Files in the database, on each: the cases in filed/, a Django app, are run by Django's own test command; and what
takes processes of their own."""

import json
import shlex
import sqlite3

import psycopg2
import pytest
from blobs.commands import HEAD, OFF, PATH, code, manage, python

from documented import block
from proc import ROOT, run

CASES = ("storage", "views", "sweep", "moving")
SIZE = 64 * 1024 * 1024


@pytest.mark.parametrize("cases", CASES)
def test_cases(url, cases):
    """A run of Django's tests, each case of which tells what it shows."""
    done = python("-m", "django", "test", f"filed.cases_{cases}",
                  TEST_DATABASE_URL="sqlite://:memory:" if url.startswith("sqlite") else url)
    assert done.returncode == 0 and "\nOK" in done.stderr, done.stdout + done.stderr


LOADED = """
import json
from django.urls import resolve
resolve("/")
from slipway.celery import app
app.loader.import_default_modules()
print(json.dumps({"modules": [name for name in sys.modules if name.startswith("slipway.files")],
                  "schedule": [*app.conf.beat_schedule]}))
"""


def test_nothing_of_it_unless_it_is_asked_for(tmp_path):
    """No table, no module, no task."""
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    manage(url, "migrate", "-v0", **OFF)
    with sqlite3.connect(tmp_path / "db.sqlite3") as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert "slipway_heartbeat" in tables and not [name for name in tables if "blobs" in name]
    off, on = json.loads(code(url, LOADED, **OFF)), json.loads(code(url, LOADED))
    assert off == {"modules": [], "schedule": ["heartbeat"]}
    assert "slipway.files.views" in on["modules"] and on["schedule"] == ["heartbeat", "sweep_files"]


def test_the_build_judges_it(tmp_path):
    """Though only a server may know that files are in the database: a deploy runs no migration that nobody judged."""
    done = python("-m", "slipway.schema.verdicts", tmp_path / "verdicts.json", ROOT / "requirements.txt", **OFF)
    assert done.returncode == 0, done.stderr
    verdicts = json.loads((tmp_path / "verdicts.json").read_text())["vendors"]["sqlite"]
    assert verdicts["slipway_blobs.0001_files"] == {"verdict": "ok", "messages": []}


def test_on_and_off(made):
    """Off, the tables stay, and nobody misses a migration; on again, the files are there. They go with the tables."""
    code(made, "s.save('a', ContentFile(b'kept'))")
    for words in (("migrate", "-v0"), ("makemigrations", "--check"), ("check",)):
        manage(made, *words, **OFF)
    assert code(made, "print(s.open('a').read().decode())") == "kept\n"
    manage(made, "migrate", "-v0", "slipway_blobs", "zero")
    done = python("-m", "django", "movefiles", "/nowhere", "database:", TEST_DATABASE_URL=made, **OFF)
    assert done.returncode == 1
    assert done.stderr == ("CommandError: database: is not there: STORAGE_URL=database: makes it so, and files are"
                           " moved while it is set\n")


def test_postgres_does_not_compress(postgresql_made):
    """Parts are read without the rest, and what is compressed is not compressed again."""
    with psycopg2.connect(postgresql_made) as database, database.cursor() as cursor:
        cursor.execute("SELECT attstorage FROM pg_attribute WHERE attrelid = 'slipway_blobs_chunk'::regclass"
                       " AND attname = 'data'")
        assert cursor.fetchone() == ("e",)


SAVE = "for n in range(20): s.save(f'a/{n}', ContentFile(random.Random(n).randbytes(n * 100_000)))"
COMPARE = """
print([*map(int, sorted(s.listdir("a")[1], key=int))] == [*range(20)],
      all(s.open(f"a/{n}").read() == random.Random(n).randbytes(n * 100_000) for n in range(20)))
"""


@pytest.fixture
def told(postgres):
    """Does what docs/files.md tells after some words, for these databases instead of shop's, in a folder."""
    def run_lines(after, folder, database):
        for line in block(ROOT / "docs/files.md", after).splitlines():
            program, *words = shlex.split(line)
            words = [postgres.url(database) if word == "shop" else word for word in words]
            words = [word.replace("=shop_restored", f"={postgres.url(database)}") for word in words]
            done = run([postgres.bin / program, *words], cwd=folder)
            assert done.returncode == 0, done.stderr
    return run_lines


def restored(postgres, dump):
    """The name of a new database with what a dump has."""
    name = postgres.database(migrated=False)
    done = run([postgres.bin / "pg_restore", "--exit-on-error", f"--dbname={postgres.url(name)}", dump])
    assert done.returncode == 0, done.stderr
    return name


def dumped(postgres, url, path, *options):
    done = run([postgres.bin / "pg_dump", "--format=custom", f"--file={path}", *options, url])
    assert done.returncode == 0, done.stderr
    return path


def test_a_dump_is_a_backup(postgres, postgresql_made, tmp_path):
    """Restored into another database it has rows and files, all of them whole."""
    code(postgresql_made, SAVE)
    other = restored(postgres, dumped(postgres, postgresql_made, tmp_path / "dump"))
    assert code(postgres.url(other), COMPARE) == "True True\n"


def test_dumps_of_their_own(postgres, postgresql_made, told, tmp_path):
    """Rows alone have no file; with those of the other dump all are there, and new ones can be saved."""
    code(postgresql_made, SAVE)
    told("nobody refers to them:", tmp_path, postgresql_made.rpartition("/")[2])
    name = restored(postgres, tmp_path / "rows.dump")
    assert code(postgres.url(name), "print(s.exists('a/1'), s.listdir(''))") == "False ([], [])\n"
    done = python("-c", HEAD + "s.open('a/1')", TEST_DATABASE_URL=postgres.url(name))
    assert "FileNotFoundError: there is no a/1" in done.stderr
    told("the key of one that is to come:", tmp_path, name)
    assert code(postgres.url(name), COMPARE + "print(s.save('new', ContentFile(b'x')))") == "True True\nnew\n"


def test_a_dump_without_the_tables(postgres, postgresql_made, tmp_path):
    """The database believes to have them: no migrate helps."""
    name = restored(postgres, dumped(postgres, postgresql_made, tmp_path / "dump", "--exclude-table=slipway_blobs_*"))
    manage(postgres.url(name), "migrate", "-v0")
    done = python("-c", HEAD + "s.exists('a')", TEST_DATABASE_URL=postgres.url(name))
    assert 'relation "slipway_blobs_blob" does not exist' in done.stderr


def test_a_copy_of_sqlite_is_one(sqlite_made, tmp_path):
    """As SQLite's own backup makes it, under way."""
    code(sqlite_made, SAVE)
    with sqlite3.connect(tmp_path / "db.sqlite3") as source, sqlite3.connect(tmp_path / "copy") as copy:
        source.backup(copy)
    assert code(f"sqlite:///{tmp_path}/copy", COMPARE) == "True True\n"


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


@pytest.mark.parametrize("debug", [False, True])
def test_memory_does_not_grow_with_files(made, tmp_path, debug):
    """Not even in development, where Django remembers queries."""
    (tmp_path / "measured.py").write_text(f"from filed.settings import *\nDEBUG = {debug}\n")
    said = code(made, UP_AND_DOWN, str(SIZE), fresh=True, DJANGO_SETTINGS_MODULE="measured",
                PYTHONPATH=f"{tmp_path}:{PATH}")
    size, kilobytes = map(int, said.split())
    assert size == SIZE and kilobytes < 8_000


BESIDE = """
import sqlite3
from slipway.files.models import CHUNK

def chunks():
    for _ in range(40):
        yield bytes(CHUNK)
        with sqlite3.connect(sys.argv[1], timeout=0) as other:
            other.execute("INSERT INTO slipway_heartbeat VALUES (hex(randomblob(8)), '2000-01-01', '', '')")
        other.close()

content = ContentFile(b"")
content.chunks = chunks
s.save("a", content)
print(s.size("a") == 40 * CHUNK)
"""


def test_sqlite_lets_others_write(sqlite_made, tmp_path):
    """A large file does not keep them waiting until it is there: there is no lock between two of its pieces."""
    assert code(sqlite_made, BESIDE, tmp_path / "db.sqlite3") == "True\n"
