"""PostgreSQL from Debian's packages: one for all workers of a run, or one for a single test."""

import contextlib
import itertools
import os
import shutil
import signal
from pathlib import Path

import pytest

from proc import ROOT, output, passed, python, run
from services import Server, as_user, folder_for, missing
from sharing import shared

POSTGRES_USER = "slip"
TEMPLATE = "template_migrated"


class Postgres(Server):
    """A PostgreSQL server. `database()` creates a database, with all migrations unless `migrated` is False."""

    name = "PostgreSQL"

    def __init__(self, bin, folder=None, port=None):
        super().__init__(port)
        self.bin, self.folder = bin, folder
        self.numbers = itertools.count(1)
        self.template = None

    def make(self):
        """Create its files."""
        output(
            [
                *as_user("postgres"),
                self.bin / "initdb",
                "-D",
                self.folder / "data",
                "-U",
                POSTGRES_USER,
                "-A",
                "trust",
                "-N",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            cwd=self.folder,
        )

    def command(self):
        return [
            *as_user("postgres"),
            self.bin / "postgres",
            "-D",
            self.folder / "data",
            "-p",
            self.port,
            "-h",
            "127.0.0.1",
            "-F",
            "-c",
            "unix_socket_directories=",
            "-c",
            "max_connections=200",
        ]

    def stop(self):
        """Stop at once: a TERM would wait for the clients."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        super().stop()

    def is_ready(self):
        return run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", self.port]).returncode == 0

    def url(self, name, port=None):
        return f"postgres://{POSTGRES_USER}:secret@127.0.0.1:{port or self.port}/{name}"

    def database(self, migrated=True):
        """Create a database. Return its name."""
        if migrated and self.template is None:
            self.make_template()
        return self.create(f"test{os.getpid()}_{next(self.numbers)}", *(["-T", self.template] if migrated else []))

    def make_template(self):
        """Create the database from which those with all migrations are copied."""
        self.template = self.create(TEMPLATE)
        migrate(self.url(self.template))

    def create(self, name, *options):
        output([self.bin / "createdb", "-h", "127.0.0.1", "-p", self.port, "-U", POSTGRES_USER, *options, name])
        return name


def migrate(url):
    """Apply all migrations to the database of that URL."""
    passed(python("manage.py", "migrate", "-v0", cwd=ROOT, env={**os.environ, "DATABASE_URL": url}))


def postgres_bin():
    """Return the folder of PostgreSQL's programs, of the newest version."""
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return bins[-1] if bins else Path(shutil.which("initdb") or missing("postgresql")).parent


@contextlib.contextmanager
def new_postgres():
    """Run a PostgreSQL for the block."""
    found = postgres_bin()
    with folder_for("postgres") as path:
        server = Postgres(found, path)
        server.make()
        with contextlib.closing(server.stack):
            server.start()
            yield server
            server.stop()


@contextlib.contextmanager
def postgres_for_all():
    """Run a PostgreSQL that already has the template, because two workers could not both create it."""
    with new_postgres() as server:
        server.make_template()
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """Return this run's own PostgreSQL. Do not stop it: use new_postgres() for that."""
    server = Postgres(postgres_bin(), port=shared(tmp_path_factory, "postgres", postgres_for_all))
    server.template = TEMPLATE
    return server
