"""web.plan beside the socket: what manage.py showmigrations --plan says, without a container to ask it."""

import contextlib
import os
import shutil
import sqlite3

import pytest
from ops.served import short_folder

import warm
from connect import connection_to
from proc import ROOT, VE_PYTHON, running, wait_until
from relay import Relay

COMMAND = [VE_PYTHON, "-m", "gunicorn", "--config", "python:slipway.web.gunicorn"]


@contextlib.contextmanager
def slot(url, folder, **env):
    """A release on the socket of that folder, once it answers; gives its web.plan."""
    env = {**os.environ, "DATABASE_URL": url, "BROKER_URL": "memory://", "CACHE_URL": "locmem://", "RELEASE": "build-7",
           "WEB_CONCURRENCY": "2", "SOCKET": str(folder / "web.sock"),
           "DJANGO_SETTINGS_MODULE": "project.settings", **env}
    with running(COMMAND, cwd=ROOT, env=env) as process:
        wait_until((folder / "web.sock").exists)
        assert (folder / "web.plan").exists()  # before it listens
        wait_until(lambda: alive(folder / "web.sock"), what="the site answers")
        yield folder / "web.plan"
        assert process.poll() is None, process.output()


def alive(path):
    connection = connection_to(path)
    connection.request("GET", "/healthz")
    return connection.getresponse().status == 200


def said(url):
    """By showmigrations itself."""
    done = warm.python("manage.py", "showmigrations", "--plan", cwd=ROOT, env={**os.environ, "DATABASE_URL": url})
    assert done.returncode == 0 and done.stdout, done.stderr
    return "release build-7\n" + done.stdout


def written(plan):
    """What it says, once it says something."""
    return wait_until(plan.read_text)


@pytest.fixture
def urls(sqlite_url, postgres, tmp_path):
    """By name: databases with all, some and no migrations."""
    shutil.copy(sqlite_url.removeprefix("sqlite:///"), tmp_path / "some.sqlite3")
    with contextlib.closing(sqlite3.connect(tmp_path / "some.sqlite3")) as database, database:
        database.execute("DELETE FROM django_migrations WHERE app = 'slipway'")
    return {"all": postgres.url(postgres.database()), "some": f"sqlite:///{tmp_path}/some.sqlite3",
            "none": postgres.url(postgres.database(migrated=False))}


@pytest.mark.parametrize("which, marks", [
    ("all", {"[X]"}), ("some", {"[X]", "[ ]"}), ("none", {"[ ]"})])
def test_told(urls, which, marks):
    """The release, then just showmigrations' lines; nothing else is left there."""
    with short_folder() as folder, slot(urls[which], folder) as plan:
        text = written(plan)
        assert text == said(urls[which])
        assert {line[:3] for line in text.splitlines()[1:]} == marks
        assert {path.name for path in folder.iterdir()} == {"web.plan", "web.sock"}


def test_a_database_that_hangs_or_is_away(postgres):
    """unknown; and the site is there."""
    relay = Relay(postgres.port)
    with contextlib.closing(relay), short_folder() as folder:
        relay.flowing.clear()
        (folder / "web.plan").touch()  # of a container that came not so far
        with slot(postgres.url(postgres.database(), relay.port), folder) as plan:
            assert written(plan) == "unknown\n"


SQUASHED = {
    "0001_a": "", "0002_b": "dependencies = [('slipway', '0001_a')]",
    "0001_squashed_0002": "replaces = [('slipway', '0001_a'), ('slipway', '0002_b')]"}
PLAN = """
import django
from django.conf import settings
settings.MIGRATION_MODULES = {"slipway": "squashed"}
django.setup()
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from slipway.schema import web_plan
for name in ("0001_a", "0002_b", "0001_squashed_0002"):
    MigrationRecorder(connection).record_applied("slipway", name)
    print([line for line in web_plan.plan().splitlines() if "slipway" in line or "unknown" in line])
"""


def test_a_squashed_migration_that_is_to_be_recorded(tmp_path):
    """Nothing is left to be applied, and yet `migrate` has to be run: what it replaces may go with the next release."""
    (tmp_path / "squashed").mkdir()
    (tmp_path / "squashed" / "__init__.py").touch()
    for name, text in SQUASHED.items():
        lines = "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    operations = []\n"
        (tmp_path / "squashed" / f"{name}.py").write_text(f"{lines}    {text}\n")
    done = warm.python("-c", PLAN, cwd=ROOT, env={
        **os.environ, "PYTHONPATH": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "DJANGO_SETTINGS_MODULE": "project.settings"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['[X]  slipway.0001_a', '[ ]  slipway.0002_b']", "['unknown']", "['[X]  slipway.0001_squashed_0002']"]


def test_started_again(sqlite_url):
    """A container that is started again keeps what the first has told."""
    with short_folder() as folder:
        (folder / "web.plan").write_text("release build-7\n[ ]  a.0001_initial\n")
        with slot(sqlite_url, folder, WEB_CONCURRENCY="1") as plan:
            assert written(plan).endswith("a.0001_initial\n")


def test_no_room(sqlite_url):
    """Nothing is told, nothing is left, and the site is there."""
    with short_folder() as folder:
        (folder / "web.plan.new").mkdir()  # what root cannot write either
        with slot(sqlite_url, folder, WEB_CONCURRENCY="1") as plan:
            assert plan.read_text() == ""
