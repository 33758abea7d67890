"""Tests of manage.py: it runs in the project's virtualenv, from any folder, or fails with one line."""

import os
import re
import shutil
import sys

import pytest

from checkout import add_wrong_migration
from proc import (
    VE_PYTHON,
    free_port,
    put,
    run,
)

BASE_PYTHON = os.path.realpath(sys.executable)


@pytest.fixture
def manage(project):
    """Return a function that runs a project copy's manage.py by a Python without Django, from another folder."""

    def call(*args, cwd="/", **env):
        env = {"PATH": os.environ["PATH"], "HOME": str(project.parent), **env}
        return run([BASE_PYTHON, project / "manage.py", *args], cwd=cwd, env=env)

    call.folder = project
    return call


def test_where_it_runs(manage):
    """manage.py runs as a program, by PATH's python3, from any folder, through a link to the project; in the virtualenv
    that VE names, as make sets it; in one that was moved with its checkout and not yet remade; and in that of uv."""
    link = manage.folder.parent / "link"
    link.symlink_to(manage.folder)
    moved = manage.folder.parent / "moved"
    said = [
        run([manage.folder / "manage.py", "version"], cwd="/"),
        run(["ve/bin/python", "manage.py", "version"], cwd=link),
    ]
    manage.folder.rename(moved)
    said.append(run([BASE_PYTHON, moved / "manage.py", "version"], cwd="/"))
    (moved / "ve").rename(moved / ".venv")
    said.append(run([BASE_PYTHON, moved / "manage.py", "version"], cwd="/"))
    (moved / ".venv").unlink()
    moved.rename(manage.folder)
    said.append(manage("version", VE=str(VE_PYTHON.parent.parent)))
    assert all(done.stdout.startswith("5.2") for done in said), said


def test_a_command_that_does_not_exist(manage):
    done = manage("migrat")
    assert (done.returncode, done.stderr.splitlines()[0]) == (127, "Unknown command: 'migrat'. Did you mean migrate?")


@pytest.mark.parametrize(
    "state, message",
    [
        ("none", "there is no virtualenv yet"),
        ("dangling", "there is no virtualenv yet"),
        ("unfinished", "the virtualenv is not complete"),
        ("broken", "the virtualenv is not complete"),
        ("no package", "the virtualenv is not complete"),
    ],
)
def test_no_virtualenv(manage, state, message):
    """If the virtualenv is missing, its Python is gone, its install was interrupted, or its pyvenv.cfg is lost, one
    line says to run make."""
    (manage.folder / "ve").unlink()
    if state == "no package":
        shutil.rmtree(manage.folder / "slipway")
    if state in ("unfinished", "no package"):
        assert run([BASE_PYTHON, "-m", "venv", "--without-pip", manage.folder / "ve"]).returncode == 0
    elif state != "none":
        (manage.folder / "ve/bin").mkdir(parents=True)
        (manage.folder / "ve/bin/python").symlink_to(BASE_PYTHON if state == "broken" else "/nowhere/python3.11")
    done = manage("check")
    assert done.returncode == 1 and done.stderr.startswith(f"manage.py: {message}"), done.stderr
    cure = "run make" if "yet" in message else "run make clean, then make,"
    assert done.stderr.endswith(f": {cure} in {manage.folder}\n") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("settings", ["theirs.settings", "theirs"])
def test_settings_of_another_project(manage, settings):
    """A variable that the shell kept from another project is named in one line."""
    done = manage("check", DJANGO_SETTINGS_MODULE=settings)
    said = f"DJANGO_SETTINGS_MODULE is {settings}, which this project does not have: unset it"
    assert done.stderr == f"manage.py: {said}\n"
    assert "Traceback" in manage("check", DJANGO_SETTINGS_MODULE="project.nothing").stderr
    put(manage.folder / "shop_live.py", "import shop\n")
    assert "No module named 'shop'" in manage("check", DJANGO_SETTINGS_MODULE="shop_live").stderr


@pytest.mark.parametrize(
    "url, words",
    [
        ("postgres://me:hush@127.0.0.1:1/shop", ["shop on 127.0.0.1", "refused", "DATABASE_URL in .env"]),
        ("sqlite:////nowhere/db.sqlite3", ["unable to open"]),
        ("sqlite:///{}/other.sqlite3", ["accounts.0001_initial", "make migrate"]),
    ],
)
def test_failed_by_the_database(manage, url, words):
    """A database that is down or lacks migrations is reported in one line, whichever command meets it first."""
    env = {"DJANGO_SUPERUSER_USERNAME": "ann", "DJANGO_SUPERUSER_EMAIL": "", "DJANGO_SUPERUSER_PASSWORD": "x"}
    commands = [["createsuperuser", "--noinput"]]
    if "make migrate" not in words:
        commands += [["migrate"], ["runserver", "--noreload", str(free_port())]]
    for command in commands:
        done = manage(*command, **env, DATABASE_URL=url.format(manage.folder.parent))
        assert done.returncode == 1 and re.fullmatch("(manage.py|CommandError): .*\n", done.stderr), done.stderr
        assert all(word in done.stderr for word in words) and "hush" not in done.stderr


def test_a_migration_that_fails_shows_where(manage):
    """If a migration or a query is wrong, its traceback is shown, because one needs it."""
    add_wrong_migration(manage.folder)
    done = manage("migrate")
    assert done.returncode == 1 and "Traceback" in done.stderr and "no such column: nonsense" in done.stderr
