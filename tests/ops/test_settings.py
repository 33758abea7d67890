"""Malformed settings, as the developer meets them: one clear line, whatever he typed."""

import os
import shutil

import pytest

import warm
from proc import ROOT

LINES = {
    "DATABASE_URL=nonsense": "settings: DATABASE_URL is not a database URL; for example DATABASE_URL=postgres://",
    "DATABASE_URL=postgres:/x": "settings: DATABASE_URL is not a database URL; for example",
    "DATABASE_URL=postgres://u:s3cret@h:port/n": "settings: DATABASE_URL has a port that is no number",
    "DATABASE_URL=sqlite:///": "settings: DATABASE_URL names no file",
    "DATABASE_URL=mysql://u:s3cret@h/n": "settings: DATABASE_URL needs mysqlclient in requirements.in",
    "BROKER_URL=xyz://s3cret": "settings: BROKER_URL is neither redis://",
    "export DATABASE_URL=s3cret": "settings: .env line 1: drop the word export",
    "SECRET_KEY='s3cret'": "settings: .env line 1: SECRET_KEY is in quotes",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project, with this one's virtualenv."""
    path = tmp_path_factory.mktemp("a checkout")
    shutil.copytree(ROOT / "project", path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", path)
    (path / "ve").symlink_to(ROOT / "ve")
    return path


def manage(checkout, *arguments):
    return warm.python(checkout / "manage.py", *arguments, cwd="/", env=dict(os.environ))


@pytest.mark.parametrize("line", LINES)
def test_one_line(checkout, line):
    """What is wrong in .env is one line of manage.py's, without the value; exit 64."""
    (checkout / ".env").write_text(line + "\n")
    done = manage(checkout, "check")
    assert done.returncode == 64 and done.stdout == ""
    assert done.stderr.startswith(LINES[line]) and done.stderr.count("\n") == 1, done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("command", ["migrate", "runserver", "shell", "nonsense", "showmigrations"])
def test_whatever_the_command(checkout, command):
    """Two problems, two lines, before any command does anything."""
    (checkout / ".env").write_text("DATABASE_URL=nonsense\nCACHE_URL=nonsense\n")
    done = manage(checkout, command)
    assert done.returncode == 64
    assert [line.split()[1] for line in done.stderr.splitlines()] == ["DATABASE_URL", "CACHE_URL"], done.stderr


def test_not_utf8(checkout):
    """A .env of another encoding."""
    (checkout / ".env").write_bytes(b"SECRET_KEY=caf\xe9\n")
    done = manage(checkout, "check")
    assert (done.returncode, done.stderr) == (64, "settings: .env cannot be read: it is not UTF-8 text\n")
