"""A project that does without Celery."""

import re
import shutil

import pytest

from proc import ROOT, answers, free_port, wait_until

from .conftest import own_apps

# Taking the packages out of a virtualenv would cost an install: here Python does not find them, which is the same
# to the code that looks for them.
HIDE = """
import os
from importlib.machinery import PathFinder
real = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.split(".")[0] in os.environ["HIDDEN"].split() else real(name, path, target))
"""
CELERY = "celery kombu django_celery_beat"


@pytest.fixture
def bare(clone):
    """The project without the apps that have been added, as those may well need Celery."""
    for app in own_apps():
        shutil.rmtree(clone.path / "project" / app)
        for file in (clone.path / "project/settings_shared.py", clone.path / "project/urls.py"):
            file.write_text(re.sub(rf".*\bproject\.{app}\b.*\n", "", file.read_text()))
    return clone


def test_without_celery(bare):
    """Without the packages, check, the tests and the page work."""
    clone, hide = bare, bare.path / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text(HIDE)
    clone.environment.update(PYTHONPATH=str(hide), HIDDEN=CELERY)
    assert clone.run("python", "-c", "import celery").returncode == 1
    done = clone.run("python", "manage.py", "test", timeout=300)
    assert done.returncode == 0 and "System check identified no issues" in done.stdout, done.stdout
    done = clone.run("python", "manage.py", "check", CACHE_URL="redis://localhost:6379/1", HIDDEN=f"{CELERY} redis")
    assert done.returncode == 64 and "CACHE_URL needs redis in requirements.in" in done.stdout, done.stdout
    port = free_port()
    with clone.start("python", "manage.py", "runserver", str(port)):
        wait_until(lambda: answers(port))


def test_types_of_what_is_left(bare):
    """They hold: stubs are no part of the packages."""
    shutil.copy2(ROOT / ".mypy.ini", bare.path)
    if (ROOT / ".mypy_cache").exists():  # what it knows already it tells at once
        shutil.copytree(ROOT / ".mypy_cache", bare.path / ".mypy_cache")
    done = bare.run("lint")
    assert done.returncode == 0, done.stdout
