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


@pytest.mark.parametrize("there, said", [("web.plan", "release build-7\n[ ]  a.0001_initial\n"), ("web.plan.new", "")])
def test_what_cannot_be_told_anew(sqlite_url, there, said):
    """A container that is started again keeps what the first has told; where there is no room nothing is told, or left,
    and the site is there."""
    with short_folder() as folder:
        if said:
            (folder / there).write_text(said)
        else:
            (folder / there).mkdir()  # what root cannot write either
        with slot(sqlite_url, folder, WEB_CONCURRENCY="1") as plan:
            assert plan.read_text() == said
