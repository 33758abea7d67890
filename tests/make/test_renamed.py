"""Names that a release gave up: who still has one is told the new one, all at once, before anything is run."""

import os

import pytest

from proc import run

# Put together, so that a search for the old names does not find them here.
OPS, WSGI, TASKS, BROKER = ("project" + name for name in (".ops", ".wsgi", ".tasks", ".celery.check_broker"))
RENAMED = "RENAMED=OLD_APP=APP OLD_PORT=PORT"
TOLD = ["make: OLD_APP is APP now: set that", "make: OLD_PORT is PORT now: set that"]


def said(project, *words, **env):
    """What make says where it must fail, less its own line."""
    done = run(["make", "--no-print-directory", "-C", project, *words], env={"PATH": os.environ["PATH"], **env})
    assert done.returncode == 2 and done.stdout == "", done.stdout + done.stderr
    return [line for line in done.stderr.splitlines() if "***" not in line]


@pytest.mark.parametrize("target", ["ve/sentinel", "check", "requirements", "wheelhouse", "build", "push", "up", "down",
                                    "provision", "env", "deploy", "status", "template-update"])
def test_variables(project, target):
    """Whatever is asked for, and however they are set."""
    assert said(project, target, RENAMED, "OLD_APP=shop", OLD_PORT="8001") == TOLD
    (project / "local.mk").write_text("OLD_PORT = 8001\n")
    makefile = project / "Makefile"
    makefile.write_text("OLD_APP ?= shop\n" + makefile.read_text())
    assert said(project, target, RENAMED) == TOLD


def test_other_variables(project):
    """What merely has a name like an old one stops nothing, and nothing has an old name here."""
    for words in (["OLD_APPS=1", RENAMED], []):
        assert run(["make", "-C", project, "flake8", "ARGS=manage.py", *words]).returncode == 0


FILES = {
    "manage.py": f"from {OPS}.env import SettingsError\n",
    "project/settings_shared.py": f"A = '{OPS}'\nB = ['{OPS}.headers.A', '{WSGI}.application']\nC = '{BROKER}'\n",
    "project/settings.py": "from .ops.env import env\nfrom . import ops\n",
    "project/shop/models.py": "def late():\n    from ..ops import env\n",
    "docker/docker-run.d/nightly": f"#!/bin/sh\n# every night\nexec python -m {OPS}.settings_check\n",
    "compose.yaml": f"x: python -m {OPS}.serve\n",
    "deploy/production.toml": f"[hooks]\nbefore = 'python -m {OPS}.verdicts'\n",
}
MOVED = {
    f"make: manage.py: {OPS} is slipway now, lines 1",
    f"make: project/settings_shared.py: {OPS} is slipway now, lines 1 2",
    f"make: project/settings_shared.py: {BROKER} is slipway.celery.check_broker now, lines 3",
    f"make: project/settings.py: {OPS} is slipway now, lines 1 2",
    f"make: project/shop/models.py: {OPS} is slipway now, lines 2",
    f"make: docker/docker-run.d/nightly: {OPS} is slipway now, lines 3",
    f"make: compose.yaml: {OPS} is slipway now, lines 1",
    f"make: deploy/production.toml: {OPS} is slipway now, lines 2",
}


@pytest.fixture
def behind(project):
    """A project whose files name what has moved."""
    for path, text in FILES.items():
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(text)
    return project


@pytest.mark.parametrize("target", ["check", "test", "runserver", "dev", "migrate", "manage", "build"])
def test_modules(behind, target):
    """A line for each file and name, in place of a traceback."""
    lines = said(behind, target, "PROJECT=project")
    assert len(lines) == len(MOVED) and set(lines) == MOVED


def test_what_is_the_teams_own(project):
    """A module that is here under an old name, one that is merely called like it, and a package of any other name."""
    (project / "project/tasks.py").write_text(f"A = '{TASKS}'\nB = 'my{WSGI}', '{WSGI}s', 'shop.{OPS}'\n")
    (project / "project/wsgi").mkdir()
    (project / "project/wsgi/__init__.py").write_text(f"B = '{WSGI}'\nfrom .opsy import a\nfrom project.a import ops\n")
    (project / "project/home/extra.py").write_text("from .ops import a\nfrom .. import opsy\n")
    done = run(["sh", "make/renamed.sh", "project"], cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = run(["sh", "make/renamed.sh", "no-such-package"], cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
