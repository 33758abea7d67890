"""makemigrations says at once what the live release would miss."""

import os
import sys

import pytest

from ops.judging import add, copy
from proc import passed, put, run

MODEL = """from django.db import models


class Item(models.Model):
    note = models.CharField(max_length=9, blank=True{})
"""
ID = '("id", BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'


@pytest.fixture
def project(tmp_path):
    """A project whose app lacks a migration for a new field."""
    project = copy(tmp_path / "a project", "xshop")
    add(project, "xshop.0001", f'CreateModel("Item", [{ID}])')
    put(project / "xshop/models.py", MODEL.format(""))
    return project


def make(project, *words, cwd=None, **env):
    env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings_test", **env}
    command = [sys.executable, project / "manage.py", "makemigrations", "xshop", "--no-input", *words]
    return passed(run(command, cwd=cwd or project, env=env))


@pytest.fixture
def manage(project):
    """manage.py, which need not be in the current folder."""
    put(
        project / "manage.py",
        "import sys\nfrom django.core import management\nmanagement.execute_from_command_line(sys.argv)\n",
    )
    return project


def test_an_error_is_told_with_its_cure(manage, tmp_path):
    """From any folder."""
    done = make(manage, cwd=tmp_path)
    [line] = [line for line in done.stdout.splitlines() if " on sqlite: " in line]
    assert line.startswith("xshop.0002_item_note on sqlite: error: column xshop_item.note is new, NOT NULL and without")
    assert "db_default=" in line and done.stderr == ""


def test_what_is_ok_is_told_too(manage):
    put(manage / "xshop/models.py", MODEL.format(', db_default=""'))
    assert "xshop.0002_item_note on sqlite: ok\n" in make(manage).stdout


def test_a_dry_run_starts_no_judge(manage):
    """It takes seconds, and no migration is there to be judged."""
    put(manage / "slipway/schema/verdicts.py", "open('judged', 'w')\n")
    make(manage, "--dry-run")
    assert not (manage / "judged").exists()
    make(manage)
    assert (manage / "judged").exists()


def test_it_can_be_silent(manage):
    assert make(manage, "--verbosity=0").stdout == ""


def test_a_table_that_comes_with_it_is_no_error(manage):
    """A migration that is not committed is new, too: the release has neither."""
    (manage / "xshop/migrations/0001.py").unlink()
    make(manage)
    passed(run(["git", "init", "-q"], cwd=manage))
    put(manage / "xshop/models.py", MODEL.format("") + "    more = models.CharField(max_length=9, blank=True)\n")
    said = make(manage).stdout
    assert "xshop.0002_item_more on sqlite: ok\n" in said
    assert "0001_initial on" not in said


@pytest.mark.parametrize("breaks", ["raise SystemExit(3)", "import time; time.sleep(3600)"])
def test_it_never_fails_because_of_the_verdict(manage, breaks):
    """The process that judges fails, or takes too long: the files are there, and nothing is said."""
    put(manage / "slipway/schema/verdicts.py", f"{breaks}\n")
    command = manage / "slipway/management/commands/makemigrations.py"
    command.write_text(command.read_text().replace("JUDGING = 300", "JUDGING = 1"))
    done = make(manage)
    assert " on sqlite" not in done.stdout + done.stderr
    assert (manage / "xshop/migrations/0002_item_note.py").exists()
