"""Real services out of Debian's packages, on free ports of the loopback; each ends with the tests that asked for it."""

import contextlib
import itertools
import os
import pwd
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from proc import ROOT, VE_PYTHON, free_port, run, running, wait_until

POSTGRES_USER = "slip"


def missing(what):
    """Skip, as this machine has no such service; in CI, which installs Debian's packages, fail."""
    needed = os.environ.get("CI") and sys.platform == "linux"
    (pytest.fail if needed else pytest.skip)(f"{what} is not installed here")


def answers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


def as_postgres():
    """What goes before a command of PostgreSQL's: it refuses to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []


class Postgres:
    """A running server; `database()` makes a new one in it, with all migrations when asked."""

    def __init__(self, bin, port):
        self.bin, self.port = bin, port
        self.numbers = itertools.count(1)
        self.template = None

    def url(self, name, port=None):
        return f"postgres://{POSTGRES_USER}:secret@127.0.0.1:{port or self.port}/{name}"

    def database(self, migrated=True):
        """The name of a new database."""
        if migrated and self.template is None:
            self.template = self.create("template_migrated")
            migrate(self.url(self.template))
        return self.create(f"test{next(self.numbers)}", *(["-T", self.template] if migrated else []))

    def create(self, name, *options):
        done = run([self.bin / "createdb", "-h", "127.0.0.1", "-p", self.port, "-U", POSTGRES_USER, *options, name])
        assert done.returncode == 0, done.stderr
        return name


def migrate(url):
    """All migrations into the database of that URL."""
    done = run([VE_PYTHON, "manage.py", "migrate", "-v0"], cwd=ROOT, env={**os.environ, "DATABASE_URL": url})
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def folder_for_postgres():
    """Outside of pytest's own, which other users may not enter; short, as it is part of a path."""
    with tempfile.TemporaryDirectory(prefix="pg-") as path:
        if os.getuid() == 0:
            os.chown(path, pwd.getpwnam("postgres").pw_uid, -1)
        yield Path(path)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL of this session's own."""
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = bins[-1] if bins else Path(shutil.which("initdb") or missing("PostgreSQL")).parent
    with folder_for_postgres() as path:
        made = run([*as_postgres(), found / "initdb", "-D", path / "data", "-U", POSTGRES_USER, "-A", "trust", "-N",
                    "-E", "UTF8", "--locale=C"], cwd=path)
        assert made.returncode == 0, made.stderr
        port = free_port()
        command = [*as_postgres(), found / "postgres", "-D", path / "data", "-p", port, "-h", "127.0.0.1", "-F",
                   "-c", "unix_socket_directories=", "-c", "max_connections=60"]
        with running(command, cwd=path) as server:
            ready = [found / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_until(lambda: server.poll() is not None or run(ready).returncode == 0, what="PostgreSQL")
            assert server.poll() is None, server.output()
            yield Postgres(found, port)


class Redis:
    """A server that can be stopped and started again on its port; nothing is kept on disk."""

    def __init__(self, command):
        self.command, self.port = command, free_port()
        self.stack = contextlib.ExitStack()

    def url(self, number=0, port=None):
        return f"redis://127.0.0.1:{port or self.port}/{number}"

    def start(self):
        process = self.stack.enter_context(running([
            self.command, "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], cwd="/"))
        wait_until(lambda: process.poll() is not None or answers(self.port), what="Redis")
        assert process.poll() is None, process.output()

    def stop(self):
        self.stack.close()


@pytest.fixture(scope="session")
def redis():
    """A Redis of this session's own; a test that stops it starts it again."""
    server = Redis(shutil.which("redis-server") or missing("Redis"))
    server.start()
    yield server
    server.stop()
