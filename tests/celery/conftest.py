"""A fresh clone of the project to start things in, with the checkout's virtualenv: real processes, no network."""

import os
import shutil
import sqlite3
import subprocess

import pytest

import warm
from proc import ROOT, running

NAMES = ["manage.py", "Makefile", *(path.name for path in ROOT.glob("*.mk")), ".flake8", "requirements.txt"]
MAKE = ["make", "-o", "ve/sentinel", "-o", "ve/sentinel-dev"]  # -o: the virtualenv is the checkout's, leave it alone


class Clone:
    """The project as git would hand it over, in a folder of its own whose path has a space."""

    def __init__(self, path):
        self.path = path
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        # With the bytecode, which is what starts quickly, but for files of it that are just being written.
        for name in ("project", "slipway", "make", "requirements"):
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        for name in NAMES:
            if (ROOT / name).exists():
                shutil.copy2(ROOT / name, path / name)
        (path / "ve").symlink_to(ROOT / "ve")
        self.python = str(path / "ve/bin/python")

    def options(self, environment):
        return {"cwd": self.path, "env": {**self.environment, **environment}}

    def start(self, *command, stdout=None, stderr=None, **environment):
        """A process while the block runs: a make target; "sh" and one, for its last command without make around, so
        that a signal gets there; or "python" and its arguments."""
        streams = {name: file for name, file in (("stdout", stdout), ("stderr", stderr)) if file is not None}
        return running(self.command(command), **self.options(environment), **streams)

    def run(self, *command, timeout=300, **environment):
        return subprocess.run(self.command(command), timeout=timeout, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **self.options(environment))

    def ask(self, *words):
        """What a command says that only asks or queues something, at less cost than a process of its own."""
        done = warm.python(*words, cwd=self.path, env=self.environment)
        done.stdout += done.stderr
        return done

    def command(self, words):
        if words[0] == "python":
            return [self.python, *words[1:]]
        if words[0] == "sh":
            recipe = subprocess.check_output([*MAKE, "-n", *words[1:]], cwd=self.path, text=True)
            return ["sh", "-c", recipe.splitlines()[-1]]
        return [*MAKE, *words]

    def rows(self, query):
        """What the project's own database holds; nothing yet where there is none."""
        try:
            with sqlite3.connect(f"file:{self.path / 'var/db.sqlite3'}?mode=ro", uri=True, timeout=20) as database:
                return database.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []
        finally:
            if "database" in locals():
                database.close()

    def heartbeats(self):
        return {name for name, in self.rows("SELECT name FROM slipway_heartbeat")}


@pytest.fixture
def clone(tmp_path):
    path = tmp_path / "a clone"
    path.mkdir()
    return Clone(path)
