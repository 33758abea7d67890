"""A project that does without Celery."""

import re
import shutil

import pytest

from proc import ROOT, answers, free_port, wait_until

from .conftest import own_apps

# Taking the packages out of a virtualenv would cost an install: here Python does not find them, which is the same
# to the code that looks for them.
HIDE = """
from importlib.machinery import PathFinder
real = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.split(".")[0] in {"celery", "kombu", "django_celery_beat"} else real(name, path, target))
"""


@pytest.fixture
def bare(clone):
    """The project without project/celery.py, project/tasks.py and the apps that have been added, as those may well
    need Celery."""
    for name in ("celery.py", "tasks.py"):
        (clone.path / "project" / name).unlink()
    for app in own_apps():
        shutil.rmtree(clone.path / "project" / app)
        for file in (clone.path / "project/settings_shared.py", clone.path / "project/urls.py"):
            file.write_text(re.sub(rf".*\bproject\.{app}\b.*\n", "", file.read_text()))
    return clone


def test_without_celery(bare):
    """Without the two files and the packages, check, the tests and the page work."""
    clone, hide = bare, bare.path / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text(HIDE)
    clone.environment["PYTHONPATH"] = str(hide)
    assert clone.run("python", "-c", "import celery").returncode == 1
    done = clone.run("python", "manage.py", "test", timeout=300)
    assert done.returncode == 0 and "System check identified no issues" in done.stdout, done.stdout
    port = free_port()
    with clone.start("python", "manage.py", "runserver", str(port)):
        wait_until(lambda: answers(port))


def test_types_of_what_is_left(bare):
    """They hold: stubs are no part of the packages."""
    shutil.copy2(ROOT / ".mypy.ini", bare.path)
    if (ROOT / ".mypy_cache").exists():  # what it knows already it tells at once
        shutil.copytree(ROOT / ".mypy_cache", bare.path / ".mypy_cache")
    done = bare.run("mypy", "ARGS=project/ops")
    assert done.returncode == 0, done.stdout


def test_files_gone_packages_left(bare):
    """To remove the two files is enough for the project to run; the pins may go later."""
    done = bare.run("python", "manage.py", "check")
    assert done.returncode == 0, done.stdout
