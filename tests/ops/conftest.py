"""What the tests of project/ops share."""

import pytest

from services import migrate


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory):
    """A migrated database in a file."""
    url = f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/db.sqlite3"
    migrate(url)
    return url


@pytest.fixture
def site_folder(tmp_path):
    """For a site's settings and socket; with a space in its path."""
    path = tmp_path / "a site"
    path.mkdir()
    return path
