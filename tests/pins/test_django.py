"""Test of Django 6, as `make new` offers it. It installs the project's pins, for which it needs the network."""

import shutil
import sys
from pathlib import Path

from checkout import Checkout, Project
from proc import ROOT, output, passed, run

from .test_pins import ENVIRONMENT


def test_a_project_of_django_6(tmp_path):
    """All checks of a new project pass, and so do the package's own tests, with psycopg 3 and without django-csp."""
    there = Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python3")
    own = [sys.executable] if sys.version_info >= (3, 12) else [*there]
    newer = own[0] if own else shutil.which("python3.12")
    template = Checkout(tmp_path / "slipway").folder
    passed(Project.copy(template, tmp_path / "shop", "--data", "django=6.0", "--data", "driver=psycopg"))
    here = {"cwd": tmp_path / "shop", "env": {**ENVIRONMENT, "PYTHONPATH": ""}}
    done = run(["make", "test", f"PYTHON={newer}"], **here)
    assert done.returncode == 0 and "make: passed: " in done.stdout, done.stdout + done.stderr
    said = output(["ve/bin/python", "-c", "import django, importlib.util as found; print(django.VERSION[0],"
                   " *(name for name in ('csp', 'psycopg', 'psycopg2') if found.find_spec(name)))"], **here)
    assert said == "6 psycopg\n", said
    here["env"]["PYTHONPATH"] = str(ROOT)  # the wheel has no tests
    passed(run(["ve/bin/python", "manage.py", "test", "slipway.tests"], **here))
