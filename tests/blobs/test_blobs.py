"""Files in the database, on each: the cases in filed/, a Django app, are run by Django's own test command."""

import os
import sys

import pytest

from proc import ROOT, run

CASES = ("storage", "views", "sweep", "moving")


def manage(*words, **env):
    """What django says, with the app's settings."""
    found = {**os.environ, "DJANGO_SETTINGS_MODULE": "filed.settings", "STORAGE_URL": "database:",
             "PYTHONPATH": f"{ROOT}/tests/blobs:{ROOT}", **env}
    return run([sys.executable, "-m", "django", *words], cwd=ROOT, env=found, timeout=300)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Of a database to be made."""
    if request.param == "sqlite":
        return "sqlite://:memory:"
    server = request.getfixturevalue("postgres")
    return server.url(server.database(migrated=False))


@pytest.mark.parametrize("cases", CASES)
def test_cases(url, cases):
    done = manage("test", f"filed.cases_{cases}", TEST_DATABASE_URL=url)
    assert done.returncode == 0 and "\nOK" in done.stderr, done.stdout + done.stderr
