"""Tests of a project without Celery."""

from checkout import without_celery
from proc import answers, free_port, put, wait_until

# Uninstalling the packages would cost a new install. Hiding them from Python's import is the same to the code that
# looks for them.
HIDE = """
import os
from importlib.machinery import PathFinder
real = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.split(".")[0] in os.environ["HIDDEN"].split() else real(name, path, target))
"""
CELERY = "celery kombu django_celery_beat"


def test_without_celery(clone):
    """Without the packages and their settings, check, the tests and the page work."""
    without_celery(clone.path / "project")
    hide = clone.path / "hide"
    put(hide / "sitecustomize.py", HIDE)
    clone.environment.update(PYTHONPATH=str(hide), HIDDEN=CELERY)
    assert clone.run("python", "-c", "import celery").returncode == 1
    done = clone.run("python", "manage.py", "test")
    assert done.returncode == 0 and "System check identified no issues" in done.stdout, done.stdout
    done = clone.run("python", "manage.py", "check", CACHE_URL="redis://localhost:6379/1", HIDDEN=f"{CELERY} redis")
    assert done.returncode == 64 and "CACHE_URL needs redis: uv add redis" in done.stdout, done.stdout
    port = free_port()
    with clone.start("python", "manage.py", "runserver", str(port)):
        wait_until(lambda: answers(port))
