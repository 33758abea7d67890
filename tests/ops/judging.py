"""A copy of the project with apps of its own, and what slipway/schema/verdicts.py says of their migrations."""

import json
import os
import shutil

import warm
from proc import ROOT, VE_PYTHON, run

HEAD = "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n"


def copy(folder, *apps):
    """The project in folder, with apps of names that no team gives one; without Celery, whose tables take a while."""
    for name in ("project", "slipway"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    settings = folder / "slipway/settings/shared.py"
    settings.write_text(settings.read_text().replace('if find_spec("celery")', "if False"))
    shared = folder / "project/settings_shared.py"
    shared.write_text(shared.read_text().replace("INSTALLED_APPS = [", f"INSTALLED_APPS = [*{apps},"))
    for app in apps:
        (folder / app / "migrations").mkdir(parents=True)
        for path in ("__init__.py", "migrations/__init__.py", "views.py", "models.py"):
            (folder / app / path).write_text("")
    (folder / "pins").write_text("")
    return folder


def add(project, name, operations, *needs, more=""):
    """The migration of that name, app.number_name, which depends on those it needs."""
    app, number = name.split(".")
    needs = [tuple(need.split(".")) for need in needs]
    (project / app / "migrations" / f"{number}.py").write_text(
        f"{HEAD}    dependencies = {needs}\n    operations = [{operations}]\n{more}")


def process(*words, cwd, env):
    """A process as the image's build starts it."""
    return run([VE_PYTHON, *words], cwd=cwd, env=env)


def verdicts(project, *words, url="sqlite://:memory:", start=warm.python):
    """Run it; what ended."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings_test", "TEST_DATABASE_URL": url,
           "PYTHONDONTWRITEBYTECODE": "1"}  # an older file's would be taken for a newer one's of the same second
    return start("-m", "slipway.schema.verdicts", *words, "migrations.json", "pins", cwd=project, env=env)


def found(project):
    return json.loads((project / "migrations.json").read_text())
