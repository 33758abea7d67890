"""A copy of the project with apps of its own, and slipway/schema/verdicts.py's verdicts on their migrations."""

import json
import os
import shutil

from checkout import without_celery
from proc import ROOT, edit, put, python
from slipway.schema.rules import judge_entry, uses_before

HEAD = """from contextlib import suppress
from django.contrib.postgres.operations import *
from django.db import DatabaseError, migrations, models, transaction
from django.db.migrations import *
from django.db.models import *
from django.db.models.functions import *


def caught(apps, editor):
    with suppress(DatabaseError), transaction.atomic():
        editor.execute("SELECT 1 / 0")


def undone(editor):
    with suppress(KeyError), transaction.atomic():
        editor.execute("ALTER TABLE xshop_line ALTER note TYPE json USING to_json(note)")
        raise KeyError


class Migration(migrations.Migration):
"""


def copy(folder, *apps):
    """Copy the project to folder, with new apps. It has no Celery, whose tables take long to create."""
    for name in ("project", "slipway"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    without_celery(folder / "project")
    edit(folder / "project/settings_base.py", "INSTALLED_APPS = [", f"INSTALLED_APPS = [*{apps},")
    for app in apps:
        for path in ("__init__.py", "migrations/__init__.py", "views.py", "models.py"):
            put(folder / app / path)
    return folder


def add(project, name, operations, *needs, more=""):
    """Write the migration `name`, as app.number_name, with `needs` as its dependencies."""
    app, number = name.split(".")
    needs = [tuple(need.split(".")) for need in needs]
    (project / app / "migrations" / f"{number}.py").write_text(
        f"{HEAD}    dependencies = {needs}\n    operations = [{operations}]\n{more}"
    )


def verdicts(project, *names, url="sqlite://:memory:"):
    """Run slipway.schema.verdicts, which prints those on the names. Return the finished process."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings_test", "TEST_DATABASE_URL": url}
    return python("-m", "slipway.schema.verdicts", "migrations.json", *names, cwd=project, env=env)


def in_build(project):
    return json.loads((project / "migrations.json").read_text())


def judged(noted, *names, uses=None):
    """Return the verdict on the last of these pending migrations, for a live release that `uses` this, or that lacks
    them. `noted`: of one kind of database."""
    entries = noted["migrations"]
    return judge_entry(entries[names[-1]], uses_before(entries, names) if uses is None else uses)
