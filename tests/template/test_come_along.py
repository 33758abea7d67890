"""Tests of updating a project with copies of the machinery, from a release before there was a package."""

import re

import pytest

from checkout import COPIER, VE_PYTHON, Checkout, Project
from proc import run

OLD, NEW = "1.0.0", "2.0.0"
SHARED = """from slipway.env import REQUIRED, env  # noqa: F401: for your settings
from slipway.settings.shared import *  # noqa: F401, F403
from slipway.settings.shared import INSTALLED_APPS

BASE_DIR = Path(__file__).resolve().parent.parent
SITE_NAME = "Slipway"  # what visitors read: rename it

INSTALLED_APPS = [
    "project.accounts",
    "project.home",
    *INSTALLED_APPS,
]

ROOT_URLCONF = "project.urls"
"""
LOADS = 'from slipway.settings import load\n\nglobals().update(load("development", __package__))\n'
COPIER_YML = """
app: {type: str, default: shop}
_exclude: [/.git, /.copier-answers.yml.jinja, /copier.yml, /tests, /examples, /CHANGELOG.md]
"""
BEFORE = {"copier.yml": COPIER_YML, "make/ve.mk": "# ve.mk\n", "update.mk": "# update.mk\n", "make/make_ve.py": "",
          ".flake8": "[flake8]\nmax-line-length = 120\nexclude = ve,*/migrations/*\n",
          ".mypy.ini": "[mypy]\nfiles = slipway, manage.py\n",
          "make/Procfile.dev": "server: true\n", "project/settings_shared.py": SHARED,
          **{f"project/settings{name}.py": LOADS for name in ("", "_docker", "_test")}}


@pytest.fixture
def template(tmp_path):
    """Return a template with today's files as the second release, and one from before the package."""
    template = Checkout(tmp_path / "template")
    today = template.git("rev-parse", "HEAD").strip()
    template.git("rm", "-rq", "ve.mk", "Procfile.dev", "project/settings_base.py")
    for path, text in BEFORE.items():
        (template.folder / path).parent.mkdir(exist_ok=True)
        (template.folder / path).write_text(text)
    template.edit("Makefile", "deploy.mk\n", "deploy.mk update.mk\n")
    template.edit(".dockerignore", "!vendor\n", "!make/drift.sh\n")
    template.commit("Before")
    template.git("tag", OLD)
    template.git("rm", "-rq", ".")
    template.git("checkout", "-q", today, "--", ".")
    template.commit("Today")
    template.git("tag", NEW)
    return template


def test_its_copies_go_and_the_package_comes(template, tmp_path):
    """The team's lines in its own files stay, and changed copies are named. Its check and its app's tests pass."""
    project = Project.made(template.folder, tmp_path / "shop", "--vcs-ref", OLD)
    project.git("init", "--quiet")
    (project.folder / "project/shop").mkdir()
    (project.folder / "project/shop/__init__.py").touch()
    project.edit("project/settings_shared.py", '"project.home",\n', '"project.home",\n    "project.shop",\n')
    project.edit("project/settings_shared.py", "ROOT_URLCONF", 'SHOP_OPEN = env.flag("SHOP_OPEN", True)\nROOT_URLCONF')
    project.edit("project/settings.py", LOADS, LOADS + "SHOP_SLOW = True\n")
    project.edit("requirements.in", "celery", "django-filter\ncelery")
    project.edit("slipway/tasks.py", '"""', '"""Ours. ')
    project.commit("Sell books")
    done = run([VE_PYTHON, template.folder / "slipway/make", "update", COPIER, ""], cwd=project.folder, env=project.env)
    assert done.returncode == 0, done.stderr
    gone = re.findall(r"make: (\S+) is gone", done.stderr)
    assert {"slipway/tasks.py", "project/settings_shared.py"} == set(gone)
    project.install()
    project.commit("Come along")
    files = project.files()
    assert not [path for path in files if path.startswith(("slipway/", "make/", "docs/", "update.mk"))]
    assert f"vendor/slipway_django-{NEW}-py3-none-any.whl" in files
    wanted = files["requirements.in"].decode()
    assert f"slipway-django[jobs]=={NEW}\n" in wanted and "\ndjango-filter\n" in wanted and "\ncelery" not in wanted
    assert b"update.mk" not in files["Makefile"] and b"!vendor\n" in files[".dockerignore"]
    asked = ("from django.conf import settings as s; import django; django.setup();"
             "print(s.SHOP_OPEN, s.SHOP_SLOW, s.INSTALLED_APPS[:4])")
    done = run([project.folder / "ve/bin/python", "-c", asked], cwd=project.folder,
               env={**project.env, "DJANGO_SETTINGS_MODULE": "project.settings"})
    assert done.stdout == "True True ['project.accounts', 'project.home', 'project.shop', 'slipway']\n", done.stderr
    done = project.make("test")
    assert done.returncode == 0, done.stdout + done.stderr
