"""Fixtures for the tests of files in the database."""

import shutil

import pytest

from blobs.commands import manage
from sharing import once


@pytest.fixture
def sqlite_made(tmp_path, tmp_path_factory):
    """Return the URL of a migrated SQLite database in a file."""
    shutil.copy(
        once(tmp_path_factory, "filed.sqlite3", lambda path: manage(f"sqlite:///{path}", "migrate", "-v0")),
        tmp_path / "db.sqlite3",
    )
    return f"sqlite:///{tmp_path}/db.sqlite3"


@pytest.fixture
def postgresql_made(postgres):
    """Return the URL of a Postgres database with the project's tables and those of files."""
    url = postgres.url(postgres.database())
    manage(url, "migrate", "-v0", "--run-syncdb")
    return url
