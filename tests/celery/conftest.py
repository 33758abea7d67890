"""A fresh clone of the project with the checkout's virtualenv, to start real processes in, without a network."""

import contextlib
import os
import shutil
import sqlite3
import subprocess

import pytest

from proc import ROOT, passed, python, run, running

NAMES = [
    "manage.py",
    "pyproject.toml",
    "Makefile",
    "Procfile.dev",
    ".flake8",
    "requirements.txt",
    *(path.name for path in ROOT.glob("*.mk")),
]
MAKE = ["make", "-o", "ve/sentinel", "-o", "ve/sentinel-dev"]  # -o: do not remake the checkout's virtualenv


class Clone:
    """The project as in a git clone, in a folder of its own whose path has a space."""

    def __init__(self, path):
        self.path = path
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        # Bytecode is copied too, for quick starts, except files of it that are just being written.
        for name in ("project", "slipway", "requirements"):
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        for name in NAMES:
            shutil.copy2(ROOT / name, path / name)
        (path / "ve").symlink_to(ROOT / "ve")
        self.python = str(path / "ve/bin/python")

    def options(self, environment):
        return {"cwd": self.path, "env": {**self.environment, **environment}}

    def start(self, *command, **environment):
        """Run a process for the block: a make target; or "python" and its arguments."""
        return running(self.command(command), **self.options(environment))

    def run(self, *command, **environment):
        return run(self.command(command), stderr=subprocess.STDOUT, **self.options(environment))

    def ask(self, *words):
        """Run a Python that only asks or queues something, which must succeed. Return its output."""
        done = passed(python(*words, cwd=self.path, env=self.environment))
        return done.stdout + done.stderr

    def command(self, words):
        return [self.python, *words[1:]] if words[0] == "python" else [*MAKE, *words]

    def rows(self, query):
        """Return rows of the project's own database, or none if it does not exist yet."""
        place = f"file:{self.path / 'var/db.sqlite3'}?mode=ro"
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(place, uri=True, timeout=20)) as database,
        ):
            return database.execute(query).fetchall()
        return []


@pytest.fixture
def clone(tmp_path):
    path = tmp_path / "a clone"
    path.mkdir()
    return Clone(path)
