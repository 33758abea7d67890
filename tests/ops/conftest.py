"""Fixtures of the tests of slipway."""

import shutil

import pytest

from ops.served import serve
from postgresql import migrate
from sharing import once


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory):
    """Return the URL of a migrated database in a file."""
    path = tmp_path_factory.mktemp("sqlite") / "db.sqlite3"
    shutil.copy(once(tmp_path_factory, "migrated.sqlite3", lambda path: migrate(f"sqlite:///{path}")), path)
    return f"sqlite:///{path}"


@pytest.fixture
def site_of(site_folder, sqlite_url):
    """Return a function that serves live.py."""

    def serving(settings="", arguments=(), SERVER="asgi", **env):
        urls = "ROOT_URLCONF = 'live'\nASGI_APPLICATION = 'live.application'\n"
        return serve(
            site_folder,
            urls + settings,
            arguments,
            SERVER=SERVER,
            DATABASE_URL=sqlite_url,
            CHAT=str(site_folder / "chat"),
            **env,
        )

    return serving


@pytest.fixture
def site_folder(tmp_path):
    """Return a folder for a site's settings and socket, with a space in its path."""
    path = tmp_path / "a site"
    path.mkdir()
    return path
