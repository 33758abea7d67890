"""Tests of what adopt finds in a project's files, and of what it lists to do by hand."""

import re
import sys
import tomllib

import pytest

from proc import ROOT, VE_PYTHON, passed, put, run
from slipway.adopt.__main__ import read_tree
from slipway.adopt.inspection import inspect_project, newest_python
from slipway.adopt.proposal import LEVELS, Template, merged_makefile, plan, with_restart
from slipway.adopt.todo import ROWS, catalogues_todo, todo, unset_variables_todo
from slipway.make import check
from theirs import LAYERS


def test_manage_in_the_package():
    """The settings are found in the module that manage.py imports; those for tests, named first, are the tests'."""
    inner = (
        "if sys.argv[1:2] == ['test']:\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'test.settings')\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.local')\n"
    )
    tree = {**LAYERS, "config/manage.py": inner, "manage.py": "from config.manage import main\n\nmain()\n"}
    found = inspect_project({**tree, "test/settings.py": ""}, "shop")
    assert (found.settings, found.tests) == ("config.settings.local", "test.settings")


MANAGE, STAR = "setdefault('DJANGO_SETTINGS_MODULE', 'site.settings.local')\n", "from .base import *\nDEBUG = False\n"


@pytest.mark.parametrize(
    "production, files",
    [
        ("site.settings.live", {"site/settings/live.py": STAR + "ALLOWED_HOSTS = []\n", "site/settings/heap.py": STAR}),
        ("site.settings.www", {"site/wsgi.py": MANAGE.replace("local", "www"), "site/settings/www.py": ""}),
        (
            "site.settings.k8s",
            {
                "Dockerfile.web": "RUN DJANGO_SETTINGS_MODULE=site.settings.css ./manage.py collectstatic\n"
                "ENV DJANGO_SETTINGS_MODULE=site.settings.k8s\n",
                "site/settings/css.py": "",
                "site/settings/k8s.py": "",
            },
        ),
        ("site.settings.prod", {"site/settings/prod.py": "", "site/settings/live.py": STAR}),
        ("site.settings.base", {"site/settings/quick_test.py": STAR, "site/wsgi.py": MANAGE}),
    ],
)
def test_settings_of_another_name(production, files):
    """Production's have a usual name, or a server names them, or they turn DEBUG off for what they import. Without
    others, the tests have those of manage.py."""
    tree = {"manage.py": MANAGE, "site/settings/base.py": "", "site/settings/local.py": "", **files}
    found = inspect_project(tree, "shop")
    assert (found.production, found.tests) == (production, "site.settings.local")


@pytest.mark.parametrize(
    "line, variable",
    [
        ("env.bool('DJANGO_DEBUG', True)", "DJANGO_DEBUG=0"),
        ("os.environ['DEBUG'] != 'False'", "DEBUG=False"),
        ("int(os.getenv('SHOP_DEBUG', 1))", "SHOP_DEBUG=0"),
        ("config('DEBUG', cast=bool)", "DEBUG=0"),
        ("bool(os.environ.get('DEBUG', ''))", "DEBUG="),
        ("os.getenv('DEBUG', 'False')", "DEBUG="),
        ("os.environ['DEBUG'] != 'off'", "DEBUG=off"),
        ("os.getenv('DEBUG') == 'on'", "DEBUG=0"),
        ("True", ""),
        ("not env.bool('NO_DEBUG')", ""),
        ("env('ENVIRONMENT') == 'local'", ""),
    ],
)
def test_what_turns_debug_off(line, variable):
    tree = {"manage.py": MANAGE, "site/settings/local.py": f"DEBUG = {line}\n"}
    assert inspect_project(tree, "shop").debug == variable


@pytest.mark.parametrize(
    "backend, media, hosts",
    [("django.core.files.storage.FileSystemStorage", "local", 1), ("storages.backends.s3.S3Storage", "bucket", 2)],
)
def test_where_uploads_are(backend, media, hosts):
    """production.toml has the place that the settings name; a folder suits one web host."""
    storages = f"STORAGES = {{\n    'default': {{\n        'BACKEND': '{backend}',\n    }},\n}}\n"
    tree = {"manage.py": MANAGE, "site/settings/local.py": storages}
    new = plan(tree, tree, inspect_project(tree, "shop"), [*LEVELS], Template(read_tree(ROOT), "w.whl", "", ""))[0]
    toml = tomllib.loads(new["deploy/production.toml"])
    assert (toml["media"], len(toml["hosts"])) == (media, hosts)


DJANGO, DRIVER, OLD_PYTHON = ("Django 5.2", "without the extra binary", "image's Debian")


@pytest.mark.parametrize(
    "about, reported, lines",
    [
        (
            DJANGO,
            True,
            ["Django<5,>=3", "django==4.2.1", "Django~=5.0", "Django<5.1", "Django<=5", '    "django==4.2",'],
        ),
        (DJANGO, False, ["Django>=4.2,<6", "Django>=4.2,<5.3", "Django==5.2", "django-allauth==1.4", "Django~=5"]),
        (DRIVER, True, ["psycopg", "psycopg2==2.9", "psycopg[c]>=3", "  'psycopg[pool]',"]),
        (DRIVER, False, ["psycopg2-binary", "psycopg[binary]", "psycopg[pool,binary]>=3", "psycopg-c"]),
        (OLD_PYTHON, True, ["3.14", "requires-python = '<3.13'", "python_requires = ~=3.11.0"]),
        (OLD_PYTHON, False, ["3.13.1", "requires-python = '>=3.10'", "python = '>=3.9,<4'"]),
    ],
)
def test_what_a_line_tells(about, reported, lines):
    [row] = [row for row in (*ROWS["make"], *ROWS["image"]) if about in row["text"]]
    assert [bool(re.search(row["has"], line)) for line in lines] == [reported] * len(lines)


CONFIG, OWN_APP = {"pytest.ini": "[pytest]\n"}, "app = Celery('site')\n"


OTHER = "services:\n  web:\n    build:\n      context: .\n      dockerfile: dev/Dockerfile\n"


BUILDS, LOGS = "services:\n  web:\n    build: .\n", "LOGGING = logging_config(json=True)\n"


@pytest.mark.parametrize(
    "files, edited, about, reported",
    [
        ({"compose.yaml": BUILDS}, "", "builds your Dockerfile", True),
        ({"compose.yaml": OTHER}, "", "builds your Dockerfile", False),
        ({"site/settings/base.py": "LOGGING = {}\n"}, f"{LOGS}from a import *\n", "keeps this LOGGING", True),
        ({"site/settings/base.py": "LOGGING = {}\n"}, f"from a import *\n{LOGS}", "keeps this LOGGING", False),
        ({"site/a.py": "from django.contrib.postgres import search\n"}, "", "TEST_DATABASE = postgres", True),
        ({"site/a.py": "from django.contrib.postgres import search\n"}, "TEST_DATABASE = postgres\n", "TEST_", False),
        (CONFIG, "TESTS = -m pytest\n", "pytest.ini:1: ", True),
        (CONFIG, "TESTS = x\n!pytest.ini\n", "pytest.ini", False),
        ({"conftest.py": ""}, "!pytest.ini\n", "!conftest.py", True),
        ({"conftest.py": ""}, "!conftest.py\n", "!c", False),
        ({"requirements.txt": "psycopg2\n"}, "libpq5\n", "build: libpq-dev", True),
        ({"dev/Dockerfile": "ENV A=1\n"}, "# dev/Dockerfile\ngettext\n", "dev/Dockerfile", False),
        ({"site/celery.py": OWN_APP}, "", "slipway.jobs.worker:Consumer", True),
        ({"site/celery.py": f"{OWN_APP}app.config_from_object('a', namespace='CELERY')\n"}, "", "Consumer", False),
        ({"site/settings/base.py": "KEY = os.environ['SECRET_KEY']\n"}, "", "SECRET_KEY", False),
    ],
)
def test_what_is_left(files, edited, about, reported):
    """A to-do stays while any part of it is left, and ends when all is done."""
    tree = {"manage.py": MANAGE, "site/settings/local.py": "", "site/settings/base.py": "", **files}
    assert (about in "\n".join(todo(tree, inspect_project(tree, "shop"), ["make", "image"], edited))) == reported


def test_a_moved_package_and_what_stays_out():
    """PROJECT follows settings that moved after an earlier level. Files beside manage.py that the image lacks, and that
    .dockerignore does not name, are listed."""
    make = "PROJECT = settings\ninclude django.mk\n"
    tree = {
        "manage.py": MANAGE,
        "site/settings/local.py": "",
        "Makefile": make,
        "docutils.conf": "",
        "README.md": "",
        "bin/run": "",
        "mime.types": "",
        ".dockerignore": "!mime.types\n",
    }
    found = inspect_project(tree, "shop")
    assert found.outside == ["bin", "docutils.conf"]
    new = plan(tree, tree, found, ["make"], Template(read_tree(ROOT), "w.whl", "", ""))[1]["Makefile"]
    assert new == make.replace("settings", "site")
    assert merged_makefile({**tree, "settings/x": ""}, "", found) == make


@pytest.mark.parametrize(
    "made_for, active, uses",
    [("{ve} python3", "", True), ("/code/ve python3", "", False), ("{ve} python3", "/other", False)],
)
def test_manage_uses_the_virtualenv(tmp_path, made_for, active, uses):
    """An adopted manage.py restarts in the virtualenv that make has made for this folder, if none is active."""
    own = '#!/usr/bin/env python\n"""Run\ncommands."""\n\nfrom __future__ import annotations\nprint("own")\n'
    restart = read_tree(ROOT)["slipway/adopt/manage.py-tpl"]
    put(tmp_path / "manage.py", with_restart(own, restart))
    assert with_restart((tmp_path / "manage.py").read_text(), restart) == (tmp_path / "manage.py").read_text()
    put(tmp_path / "ve/made-for", made_for.format(ve=tmp_path / "ve"))
    put(tmp_path / "ve/bin/python", '#!/bin/sh\necho "ve $VIRTUAL_ENV $2"\n').chmod(0o755)
    env = {"VIRTUAL_ENV": active} if active else {}
    said = passed(run([sys.executable, "manage.py", "check"], cwd=tmp_path, env=env)).stdout
    assert said == (f"ve {tmp_path}/ve check\n" if uses else "own\n")


def test_variables_without_a_default():
    """Variables that the settings check before they read them are left out."""
    asked = (
        "A = os.environ['A']\nif 'B' in os.environ:\n    B = os.environ['B']\nC = env('C', default='')\n"
        "D = environ['D'] if 'D' in environ else 1\nE = env.str('E')\n"
        "env = environ.Env(G=(int, 0))\nif env('G'):\n    F = env('H')\nelse:\n    F = {'a': [env.str('F')]}\n"
    )
    tree = {"manage.py": "setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')", "shop/settings.py": asked}
    assert [item.split()[:2] for item in unset_variables_todo(tree, inspect_project(tree, "shop"))] == [
        ["shop/settings.py:1:", "A"],
        ["shop/settings.py:6:", "E"],
        ["shop/settings.py:11:", "F"],
    ]


def test_what_is_not_where_the_image_looks():
    """A Celery app outside the settings' package, and many Dockerfiles, take a line each. ci.py is for tests."""
    tree = {
        "manage.py": "setdefault('DJANGO_SETTINGS_MODULE', 'settings.main')",
        "settings/main.py": "",
        "settings/ci.py": "",
        "shop/celery_app.py": "app = Celery('shop')\n",
        **{f"extras/{name}/Dockerfile": "ENV A=1\n" for name in "abcde"},
    }
    found = inspect_project(tree, "shop")
    lines = [*todo(tree, found, ["image"], "")]
    assert found.tests == "settings.ci" and len(lines) == 3, lines
    assert "extras/a/Dockerfile:1, extras/b/Dockerfile:1, extras/c/Dockerfile:1 and 2 more: add the" in lines[1]
    assert lines[2].startswith("shop/celery_app.py:1: the image runs celery -A settings: ")


def test_catalogues_that_the_image_lacks():
    tree = {"shop/locale/de/django.po": ""}
    assert [*catalogues_todo(tree)] == [
        "shop/locale/de/django.po:1: git has no .mo file of 1 catalogues, so an image built elsewhere is not "
        "translated: commit these files, or run compilemessages before make build"
    ]
    assert not [*catalogues_todo({**tree, "shop/locale/de/django.mo": ""})]


@pytest.mark.parametrize("ran, config, code", [(0, "[pytest]\n", 1), (0, "[mypy]\n", 0), (1, "[pytest]\n", 0)])
def test_green_without_a_test(tmp_path, monkeypatch, capfd, ran, config, code):
    """If pytest is configured but Django's runner finds no test, make test fails, and says what to write."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tox.ini").write_text(config)
    words = VE_PYTHON, "-c", f"import sys; print('Ran {ran} tests in 0.1s', file=sys.stderr)"
    assert check.some_tests(*words) == code
    assert ("TESTS = -m pytest" in capfd.readouterr().err) == bool(code)


@pytest.mark.parametrize(
    "path, text, minor",
    [
        (".python-version", "3.12.4\n", 12),
        ("pyproject.toml", "[project]\nrequires-python = '>=3.12,<4'\n", 12),
        ("setup.cfg", "[options]\npython_requires = >= 3.13\n", 13),
        (".python-version", "pypy3.14\n", 11),
    ],
)
def test_the_oldest_python(path, text, minor):
    assert newest_python({path: text}) == minor
