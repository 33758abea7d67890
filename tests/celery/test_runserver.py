"""Tests of `make runserver`, a newcomer's first command: on a fresh clone, and with each possible fault."""

import re
import sqlite3
import urllib.request

import pytest

from checkout import add_wrong_migration
from proc import answers, as_mortal, free_port, running, wait_until


def test_fresh_clone(clone):
    """A fresh clone serves its page after one line on migrations. The second start, here without the reloader, prints
    nothing about migrations."""
    port = free_port()
    with clone.start("runserver", f"PORT={port}") as server:
        wait_until(lambda: answers(port))
        assert b"djDebug" in urllib.request.urlopen(f"http://localhost:{port}", timeout=30).read()
        lines = [line for line in server.output().splitlines() if not re.match("[0-9]{4}-", line)]  # without log lines
    assert re.fullmatch(r"\d+ migrations applied to the database var/db.sqlite3", lines[0])
    with clone.start("python", "manage.py", "runserver", "--noreload", str(port)) as server:
        wait_until(lambda: f"http://127.0.0.1:{port}/" in server.output())
        assert "migration" not in server.output()


def test_other_database(clone):
    """A database other than the project's own is not migrated: Django names the apps and the command."""
    port, url = free_port(), f"sqlite:///{clone.path.parent}/shared.sqlite3"
    with clone.start("runserver", f"PORT={port}", DATABASE_URL=url) as server:
        wait_until(lambda: f"http://127.0.0.1:{port}/" in server.output())
        said = server.output()
    assert re.search("unapplied migration.* app.*slipway", said) and "manage.py migrate" in said, said
    with sqlite3.connect(clone.path.parent / "shared.sqlite3") as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []
    database.close()


def test_no_port(clone):
    """An invalid port costs one line, not Django's traceback."""
    done = clone.run("runserver", "PORT=99999")
    (line,) = (line for line in done.stdout.splitlines() if not line.startswith("make"))
    assert done.returncode and "99999 is not a port" in line and "PORT=8001" in line, done.stdout


@pytest.mark.parametrize("made", [False, True])
def test_read_only_checkout(clone, made):
    """If the checkout is not writable, with or without its var/, one line names the folder."""
    if made:
        (clone.path / "var").mkdir(mode=0o555)
    clone.path.chmod(0o555)
    command = as_mortal([clone.python, "manage.py", "runserver", str(free_port())])
    try:
        with running(command, **clone.options({})) as server:
            assert server.wait(60) == (1 if made else 64)  # 1: the database fails; 64: the settings
            lines = server.output().splitlines()
    finally:
        clone.path.chmod(0o755)
    assert len(lines) == 1 and "var" in lines[0] and "Permission denied" in lines[0], lines


def test_a_migration_that_fails(clone):
    """Server, worker and beat each name the failed migration, its error and the command for details in one line. None
    runs on a half-migrated database."""
    add_wrong_migration(clone.path)
    celery = ("-m", "celery", "-q", "-A", "project")
    for words in (["manage.py", "runserver", str(free_port())], [*celery, "worker"], [*celery, "beat"]):
        done = clone.run("python", *words)
        told = [line for line in done.stdout.splitlines() if "accounts.0002_wrong" in line]
        assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
        assert len(told) == 1 and "nonsense" in told[0] and told[0].endswith("the traceback: make migrate"), done.stdout
