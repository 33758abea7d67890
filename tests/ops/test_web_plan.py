"""Tests of web.plan beside the socket, which has the output of manage.py showmigrations --plan for the agent."""

import contextlib
import json
import os
import shutil
import sqlite3

import pytest

from ops.served import COMMAND, answers, short_folder
from proc import ROOT, put, python, running, wait_until
from relay import Relay
from slipway.deploy.agent.steps.start import parse_web_plan


@contextlib.contextmanager
def slot(url, folder, **env):
    """Run a release on that folder's socket. Yield its web.plan once it answers."""
    env = {
        **os.environ,
        "DATABASE_URL": url,
        "BROKER_URL": "memory://",
        "CACHE_URL": "locmem://",
        "RELEASE": "build-7",
        "WEB_CONCURRENCY": "2",
        "SOCKET": str(folder / "web.sock"),
        "DJANGO_SETTINGS_MODULE": "project.settings",
        **env,
    }
    with running(COMMAND, cwd=ROOT, env=env) as process:
        wait_until((folder / "web.sock").exists)
        assert (folder / "web.plan").exists()  # before the site listens
        wait_until(lambda: answers(folder / "web.sock"), what="the site answers")
        yield folder / "web.plan"
        assert process.poll() is None, process.output()


def expected_plan(url):
    """Return the expected content, with showmigrations' own output."""
    done = python(
        "-m",
        "django",
        "showmigrations",
        "--plan",
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "project.settings"},
    )
    assert done.returncode == 0 and done.stdout, done.stderr
    return "release build-7\nmedia local\n" + done.stdout


@pytest.fixture
def urls(sqlite_url, postgres, tmp_path):
    """Return {name: URL} of databases with all, some and no migrations."""
    shutil.copy(sqlite_url.removeprefix("sqlite:///"), tmp_path / "some.sqlite3")
    with contextlib.closing(sqlite3.connect(tmp_path / "some.sqlite3")) as database, database:
        database.execute("DELETE FROM django_migrations WHERE app = 'slipway'")
    return {
        "all": postgres.url(postgres.database()),
        "some": f"sqlite:///{tmp_path}/some.sqlite3",
        "none": postgres.url(postgres.database(migrated=False)),
    }


@pytest.mark.parametrize("which, marks", [("all", {"[X]"}), ("some", {"[X]", "[ ]"}), ("none", {"[ ]"})])
def test_told(urls, which, marks, tmp_path):
    """web.plan has the release and the place of uploads, then only showmigrations' lines, and no other file is left."""
    (tmp_path / "patient.py").write_text(
        "from project.settings import *\nfrom slipway import readiness\nreadiness.DEADLINE = 30\n"
    )
    patient = {"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "patient"}
    with short_folder() as folder, slot(urls[which], folder, **patient) as plan:
        text = wait_until(plan.read_text)
        assert text == expected_plan(urls[which])
        assert {line[:3] for line in text.splitlines()[2:]} == marks
        assert {path.name for path in folder.iterdir()} == {"web.plan", "web.sock"}


def test_what_the_database_lacks(sqlite_url, tmp_path):
    """By what the build noted. It is told between the place of uploads and the migrations."""
    noted = {"migrations": {}, "uses": {"accounts_user": {"email": {"type": "text"}, "shoe": {"type": "text"}}}}
    put(tmp_path / "migrations.json", json.dumps({"version": 3, "vendors": {"sqlite": noted}}))
    put(
        tmp_path / "patient.py",
        "from pathlib import Path\nfrom project.settings import *\nfrom slipway import readiness\n"
        "from slipway.schema import living\nreadiness.DEADLINE = 30\n"
        "living.FILE = Path(__file__).with_name('migrations.json')\n",
    )
    patient = {"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "patient"}
    with short_folder() as folder, slot(sqlite_url, folder, **patient) as plan:
        head, *lacks = wait_until(plan.read_text).partition("lacks ")
        assert head == "release build-7\nmedia local\n"
        assert "".join(lacks).splitlines()[0] == "lacks column accounts_user.shoe is missing"
        assert parse_web_plan(plan.read_text(), "build-7").lacking[0] == "column accounts_user.shoe is missing"


def test_a_database_that_hangs_or_is_away(postgres):
    """web.plan is "unknown", and the site answers."""
    relay = Relay(postgres.port)
    with contextlib.closing(relay), short_folder() as folder:
        relay.flowing.clear()
        (folder / "web.plan").touch()  # left by a container that crashed early
        with slot(postgres.url(postgres.database(), relay.port), folder) as plan:
            assert wait_until(plan.read_text) == "unknown\n"


@pytest.mark.parametrize(
    "existing, content", [("web.plan", "release build-7\n[ ]  a.0001_initial\n"), ("web.plan.new", "")]
)
def test_what_cannot_be_told_anew(sqlite_url, existing, content):
    """A restarted container keeps the existing web.plan. If web.plan cannot be written, it stays empty, no other file
    is left, and the site answers."""
    with short_folder() as folder:
        if content:
            (folder / existing).write_text(content)
        else:
            (folder / existing).mkdir()  # even root cannot write it
        with slot(sqlite_url, folder, WEB_CONCURRENCY="1") as plan:
            assert plan.read_text() == content
