"""Tests of adopting the template in an existing project, level by level, without a change that was not requested."""

import json
import os
import re
import secrets
import shlex
import shutil
import sys
import tomllib

import pytest

import wheels
from documented import block
from proc import ROOT, UV, VE_PYTHON, output, passed, put, run, running, wait_until
from slipway.adopt.__main__ import read, texts
from slipway.adopt.look import look, python
from slipway.adopt.packages import LINTER, find_packages, left_to_do, requirement, with_packages
from slipway.adopt.proposal import LEVELS, Template, makefile, manage, plan
from slipway.adopt.todo import ROWS, todo, unset, untranslated
from slipway.make import check
from slipway.make.uv import settings
from theirs import LAYERS, PLAIN, Theirs

BASE_PYTHON = os.path.realpath(sys.executable)
LISTS = ("requirements.txt", "requirements/dev.txt")


@pytest.fixture
def theirs(template, tmp_path):
    """Return a function that makes a project of these files."""
    return lambda files: Theirs(tmp_path / "my shop", files, template)


def production(project, **more):
    """Return the image's environment, as far as the project needs it."""
    package = "config" if (project.folder / "config").exists() else "mysite"
    return {
        "SECRET_KEY": secrets.token_hex(32),
        "SITE_URL": "http://localhost",
        "WEB_CONCURRENCY": "1",
        "DATABASE_URL": f"sqlite:///{project.folder}/var.sqlite3",
        "DJANGO_SETTINGS_MODULE": f"{package}.settings_docker",
        **more,
    }


def test_levels_make_and_image(theirs):
    """make test passes first. Then production's settings are the project's plus the template's: check passes, and the
    site is ready. No file of the project's changes, and a second run does nothing."""
    project = theirs(PLAIN)
    said = project.adopted()
    assert re.search("make: passed: check flake8 .*migrations tests\n", passed(project.make("test")).stdout)
    assert project.changed() == [] and not (project.folder / "slipway").exists()
    project.commit("Slipway")
    again = project.adopted()
    assert "wrote: " in said and "wrote: " not in again and project.git("status", "--porcelain") == ""
    project.adopted("--level", "image")
    assert project.changed() == []
    env = production(project)
    for words in (["check"], ["makemigrations", "--check"], ["collectstatic", "--no-input"], ["migrate"]):
        passed(project.manage(*words, **env))
    assert (project.folder / "static-root/staticfiles.json").exists()
    code = "from django.test import Client; print(Client().get('/readyz').content.decode())"
    page = passed(project.manage("shell", "-c", code, **env, ALLOWED_HOSTS="testserver")).stdout.splitlines()[-1]
    assert json.loads(page)["parts"].keys() == {"database", "migrations", "cache"}, page
    tests = {"DJANGO_SETTINGS_MODULE": env["DJANGO_SETTINGS_MODULE"].replace("docker", "test"), "TEST_DATABASE_URL": ""}
    assert "Ran 0 tests" in passed(project.manage("test", **tests)).stderr


OWN = {
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "TIMEOUT": 60}},
    "LOGGING": {"version": 1, "disable_existing_loggers": False, "loggers": {"shop": {"level": "ERROR"}}},
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.ScryptPasswordHasher"],
    "CELERY_RESULT_BACKEND": "redis://results/0",
    "STORAGES": {"default": {"BACKEND": "shop.Storage"}, "staticfiles": {"BACKEND": "shop.Static"}},
}
SWITCH = (
    "DEBUG = os.environ.get('SHOP_DEBUG', 'true') != 'false'\nSHOP_MODE = 'development' if DEBUG else 'production'\n"
)


def values(project, names, **env):
    """Return the settings of these names."""
    code = f"import json; from django.conf import settings as s; print(json.dumps([getattr(s, n) for n in {[*names]}]))"
    python = project.folder / "ve/bin/python"
    return json.loads(output([python, "-c", code], cwd=project.folder, env={**project.env, **env}))


def test_values_of_its_own_hold(theirs):
    """Caches, logs, hashers, result backend and uploads of the project are those of production and of tests. check
    shows the lines of what production sets instead. adopt says that production needs the result backend."""
    base = "config/settings/base.py"
    own = "".join(f"{name} = {value!r}\n" for name, value in OWN.items())
    project = theirs({**LAYERS, base: LAYERS[base] + own + SWITCH})
    said = project.adopted("--level", "image")
    assert re.search(rf"{base}:19: .*result backend", said), said
    env = production(project, CACHE_URL="redis://cache/1", BROKER_URL="redis://broker/0")
    assert values(project, [*OWN, "SHOP_MODE"], **env) == [*OWN.values(), "production"]
    tests = {"DJANGO_SETTINGS_MODULE": "config.settings_test"}
    assert values(project, OWN, **tests) == [*OWN.values()]
    said = passed(project.manage("check", **env, IMAGE_BUILD="1")).stderr
    twice = re.findall(r"(\w+) is assigned twice, in (\S+):\d+ and (\S+):\d+: the latter", said)
    docker = "config/settings_docker.py"
    assert {name: last for name, _, last in twice} == {
        **dict.fromkeys(["CACHES", "LOGGING", "STORAGES"], base),
        **dict.fromkeys(["DEBUG", "SECRET_KEY", "STATIC_URL", "DATABASES", "CELERY_TASK_ALWAYS_EAGER"], docker),
    }
    project.edit(docker, 'os.environ["SHOP_DEBUG"] = "false"', "#")
    refused = project.manage("check", **env)
    assert refused.returncode and re.search(rf"E015\) DEBUG is on .*, {base}:22: set", refused.stderr)


def test_own_settings_stay(theirs):
    """The project's own settings stay unless production sets them, for example its user model. They may have names that
    slipway's have too."""
    module = "config/settings/production.py"
    names = "env = values = production = adopted = role = site = REQUIRED = RELEASE = Path = None\n"
    project = theirs({**LAYERS, module: LAYERS[module] + names})
    project.adopted("--level", "image")
    env = production(project, SHOP_KEY="from the environment", BROKER_URL="redis://localhost/0")
    user, is_open, key, secret, middleware, readiness = values(
        project, ["AUTH_USER_MODEL", "SHOP_OPEN", "SHOP_KEY", "SECRET_KEY", "MIDDLEWARE", "READINESS"], **env
    )
    assert (user, is_open, key, secret) == ("shop.Customer", True, "from the environment", env["SECRET_KEY"])
    assert middleware.count("whitenoise.middleware.WhiteNoiseMiddleware") == 1
    common = middleware.index("django.middleware.common.CommonMiddleware")
    assert middleware.index("slipway.web.middleware.Probes") < common
    assert readiness.keys() == {"database", "migrations", "cache", "broker"}


def test_a_list_that_powershell_has_written(tmp_path):
    (tmp_path / "list").write_bytes("django\r\n".encode("utf-16"))
    assert read(tmp_path / "list") == "django\n"


def test_with_nothing_set(theirs, clone, tmp_path):
    """The first command of docs/adopt.md needs git and Python: without a uv on the path it installs the pinned one, in
    the clone."""
    project, uv = theirs(PLAIN), f'#!/bin/sh\nexec {shlex.quote(UV)} "$@"\n'
    pin = wheels.pin(wheels.wheel(tmp_path, "uv", "9.9", {"uv-9.9.data/scripts/uv": uv}))
    put(clone.folder / "slipway/requirements/uv.txt", f"--find-links {tmp_path.as_uri()}\n{pin}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(shutil.which("git"))
    env = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), "UV_CACHE_DIR": project.env["UV_CACHE_DIR"]}
    command = block(ROOT / "docs/adopt.md", "git clone").splitlines()[1].split("#")[0]
    words = [
        {"PYTHONPATH=slipway": "", "python3": sys._base_executable, "shop": project.folder.name}.get(word, word)
        for word in command.split()
    ]
    done = passed(run([*filter(None, words)], cwd=tmp_path, env={**env, "PYTHONPATH": str(clone.folder)}))
    assert "left to do by hand" in done.stdout and done.stderr == "make: installing slipway/requirements/uv.txt\n"
    assert (clone.folder / "var/uv/bin/uv").exists() and not (project.folder / "var").exists()


def test_manage_in_the_package():
    """The settings are found in the module that manage.py imports; those for tests, named first, are the tests'."""
    inner = (
        "if sys.argv[1:2] == ['test']:\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'test.settings')\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.local')\n"
    )
    tree = {**LAYERS, "config/manage.py": inner, "manage.py": "from config.manage import main\n\nmain()\n"}
    found = look({**tree, "test/settings.py": ""}, "shop")
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
    found = look(tree, "shop")
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
    assert look(tree, "shop").debug == variable


@pytest.mark.parametrize(
    "backend, media, hosts",
    [("django.core.files.storage.FileSystemStorage", "local", 1), ("storages.backends.s3.S3Storage", "bucket", 2)],
)
def test_where_uploads_are(backend, media, hosts):
    """production.toml has the place that the settings name; a folder suits one web host."""
    storages = f"STORAGES = {{\n    'default': {{\n        'BACKEND': '{backend}',\n    }},\n}}\n"
    tree = {"manage.py": MANAGE, "site/settings/local.py": storages}
    new = plan(tree, tree, look(tree, "shop"), [*LEVELS], Template(texts(ROOT), "w.whl", "", ""))[0]
    toml = tomllib.loads(new["deploy/production.toml"])
    assert (toml["media"], len(toml["hosts"])) == (media, hosts)


CELERY = "from slipway.celery import app  # noqa: E402\n"


@pytest.mark.parametrize("app", ["the template's", "its own"])
def test_worker(theirs, redis, app):
    """The image's worker, with either Celery app of the checklist, runs the project's tasks and reports to a deploy
    that it is ready. beat has the heartbeat among its entries."""
    project = theirs(LAYERS)
    project.adopted("--level", "image")
    celery = project.folder / "config/celery.py"
    own = celery.read_text()
    if app == "the template's":
        own = own.split("app = ")[0].replace("from celery import Celery\n", CELERY)
    celery.write_text(own)
    ready = project.folder / "ready"
    env = production(project, BROKER_URL=f"redis://localhost:{redis.port}/0", READY_FILE=str(ready))
    passed(project.manage("migrate", **env))
    path = f"{project.folder}/ve/bin:{os.environ['PATH']}"
    worker = {**project.env, **env, "PATH": path, "PROJECT": "config"}
    with running(["sh", "docker-run.sh", "worker", "--pool", "solo"], cwd=project.folder, env=worker) as process:
        wait_until(lambda: ready.exists() and ready.read_text().startswith("consuming"), what="the worker is ready")
        passed(project.manage("shell", "-c", "from shop.tasks import pack; pack.delay()", **env))
        wait_until(lambda: "shop.tasks.pack" in process.output(), what="the task has run")
        with running(["sh", "docker-run.sh", "beat"], cwd=project.folder, env=worker):
            wait_until(lambda: "slipway.tasks.heartbeat" in process.output(), what="the worker has had a heartbeat")
            code = "from django_celery_beat.models import PeriodicTask as P; print(P.objects.get(name='heartbeat'))"
            wait_until(
                lambda: "heartbeat: every" in project.manage("shell", "-c", code, **env).stdout, what="it goes on"
            )


def test_changes_are_shown(theirs):
    """A different file is reported, and changed only with --apply. A Makefile keeps its targets and its first one, and
    .dockerignore keeps its lines."""
    files = {**LAYERS, "Makefile": "hello:\n\t@echo hello\n\ntest:\n\t@echo\n", ".dockerignore": "config/secret\n"}
    project = theirs(files)
    said = project.adopted("--level", "image")
    assert project.changed() == [] and (project.folder / "Dockerfile").read_text() == LAYERS["Dockerfile"]
    assert "would change, with --apply: Dockerfile\n" in said
    assert "Dockerfile:2: add the Debian packages that it installs to docker/packages.txt" in said
    assert re.search(r"requirements/base.txt:1: add \./vendor/\S+\.whl\[jobs,psycopg2]\n", said), said
    assert ".gitignore:1: add before git add -A: /ve.lock" in said and "make test run your targets instead" in said
    project.commit("Slipway")
    said = project.adopted("--level", "image", "--apply")
    lists = {"requirements/base.txt", "requirements/local.txt"}
    assert {*project.changed()} == {"Dockerfile", "Makefile", ".gitignore", ".dockerignore", "manage.py", *lists}
    assert re.search(
        r"^\./vendor/\S+\.whl\[jobs,psycopg2]$", (project.folder / "requirements/base.txt").read_text(), re.M
    )
    assert (project.folder / "requirements/local.txt").read_text().endswith("pytest\ndjango-migration-linter\n")
    assert (
        "\nREQUIREMENTS = requirements/base.txt\nREQUIREMENTS_DEV = requirements/local.txt\n"
        in (project.folder / "Makefile").read_text()
    )
    assert "changed: Dockerfile\n" in said
    assert (project.folder / "Dockerfile").read_text() == (ROOT / "Dockerfile").read_text()
    done = project.make()
    assert done.stdout == "hello\n" and "overriding recipe" in done.stderr, "make itself tells of targets of one name"
    assert "runserver" in project.make("help").stdout
    ignored = (project.folder / ".dockerignore").read_text().splitlines()
    assert ignored.index("*") < ignored.index("!config") < ignored.index("config/secret"), "the last one counts"


@pytest.mark.parametrize("files", [PLAIN, LAYERS], ids=["plain", "layers"])
def test_again(theirs, files):
    """Besides files that any project has, it adds at most 17. A second run, even with an edited Dockerfile, counts none
    of them as the project's, finds the same, and does nothing."""
    project = theirs(files)
    first = project.adopted("--level", "servers", "--apply")
    project.git("add", "--all")
    new = {*project.git("diff", "--name-only", "--cached", "--diff-filter=A").split()}
    assert len(new - {"Makefile", ".gitignore", ".dockerignore", *LISTS}) <= 17, new
    project.edit("Dockerfile", "USER 10001", "ENV A=1\nUSER 10001")
    project.commit("Slipway")
    again = project.adopted("--level", "servers")
    assert [line for line in first.splitlines() if re.match("found: (?!pack)", line)] == [
        line for line in again.splitlines() if re.match("found: (?!pack)", line)
    ]
    assert "wrote: " not in again and re.findall("would change.*: (.*)", again) == ["Dockerfile"]
    left = again.split("left to do by hand:\n")[1]
    assert len(left.splitlines()) == 1, left


def test_other_ways_to_say_it(theirs):
    """adopt finds an app of a Celery subclass, a Dockerfile in a folder, and a Docker Compose file, which stays: make
    up uses a second one. Files that the settings read are in the image."""
    base = (
        LAYERS["config/settings/base.py"]
        + "CELERY_TASK_ROUTES = {}\nCHANGES = (BASE_DIR.parent / 'NEWS.md').read_text()\n"
    )
    project = theirs(
        {
            **LAYERS,
            "docker-compose.yaml": "services: {}\n",
            "NEWS.md": "Open\n",
            "config/celery.py": LAYERS["config/celery.py"]
            .replace("app = Celery(", "app = Mine(")
            .replace("\napp = ", "\n\nclass MyCelery(Celery):\n    pass\n\n\napp = ")
            .replace("Mine", "MyCelery"),
            "requirements/base.txt": "Django<5,>=3\ncelery\npsycopg>=3\n",
            "config/settings/base.py": base,
            "docker/Dockerfile": "FROM debian\nRUN apt-get update && apt-get -q install a >/dev/null\n",
        }
    )
    said = project.adopted("--level", "image")
    assert "found: celery config/celery.py\n" in said
    assert "docker/Dockerfile:2: add the Debian packages" in said
    assert "requirements/base.txt:1: slipway needs Django 5.2 or newer" in said
    assert "requirements/base.txt:3: without the extra binary" in said
    assert "config/settings/base.py:16: the image's worker serves only the queue celery" in said
    assert "!NEWS.md\n" in (project.folder / ".dockerignore").read_text()
    assert not (project.folder / "compose.yaml").exists()
    assert "worker:" in (project.folder / "compose.slipway.yaml").read_text()
    down = project.make("-s", "down", "DOCKER=true", "COMPOSE=echo").stdout
    assert re.search(r"--file compose.slipway.yaml --project-name \S+-slipway ", down), "theirs may have its name"
    project.commit("Slipway")
    assert "wrote: compose" not in project.adopted("--level", "servers")


DJANGO, DRIVER, OLD_PYTHON = ("Django 5.2", "without the extra binary", "image's Debian")


@pytest.mark.parametrize(
    "about, told, lines",
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
def test_what_a_line_tells(about, told, lines):
    [row] = [row for row in (*ROWS["make"], *ROWS["image"]) if about in row["text"]]
    assert [bool(re.search(row["has"], line)) for line in lines] == [told] * len(lines)


CONFIG, OWN_APP = {"pytest.ini": "[pytest]\n"}, "app = Celery('site')\n"
OTHER = "services:\n  web:\n    build:\n      context: .\n      dockerfile: dev/Dockerfile\n"
BUILDS, LOGS = "services:\n  web:\n    build: .\n", "LOGGING = logging_config(json=True)\n"


@pytest.mark.parametrize(
    "files, edited, about, told",
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
def test_what_is_left(files, edited, about, told):
    """A to-do stays while any part of it is left, and ends when all is done."""
    tree = {"manage.py": MANAGE, "site/settings/local.py": "", "site/settings/base.py": "", **files}
    assert (about in "\n".join(todo(tree, look(tree, "shop"), ["make", "image"], edited))) == told


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
    found = look(tree, "shop")
    assert found.outside == ["bin", "docutils.conf"]
    new = plan(tree, tree, found, ["make"], Template(texts(ROOT), "w.whl", "", ""))[1]["Makefile"]
    assert new == make.replace("settings", "site")
    assert makefile({**tree, "settings/x": ""}, "", found) == make


@pytest.mark.parametrize(
    "made_for, active, uses",
    [("{ve} python3", "", True), ("/code/ve python3", "", False), ("{ve} python3", "/other", False)],
)
def test_manage_uses_the_virtualenv(tmp_path, made_for, active, uses):
    """An adopted manage.py restarts in the virtualenv that make has made for this folder, if none is active."""
    own = '#!/usr/bin/env python\n"""Run\ncommands."""\n\nfrom __future__ import annotations\nprint("own")\n'
    restart = texts(ROOT)["slipway/adopt/manage.py-tpl"]
    put(tmp_path / "manage.py", manage(own, restart))
    assert manage((tmp_path / "manage.py").read_text(), restart) == (tmp_path / "manage.py").read_text()
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
    assert [item.split()[:2] for item in unset(tree, look(tree, "shop"))] == [
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
    found = look(tree, "shop")
    lines = [*todo(tree, found, ["image"], "")]
    assert found.tests == "settings.ci" and len(lines) == 3, lines
    assert "extras/a/Dockerfile:1, extras/b/Dockerfile:1, extras/c/Dockerfile:1 and 2 more: add the" in lines[1]
    assert lines[2].startswith("shop/celery_app.py:1: the image runs celery -A settings: ")


def test_catalogues_that_the_image_lacks():
    tree = {"shop/locale/de/django.po": ""}
    assert [*untranslated(tree)] == [
        "shop/locale/de/django.po:1: git has no .mo file of 1 catalogues, so an image built elsewhere is not "
        "translated: commit these files, or run compilemessages before make build"
    ]
    assert not [*untranslated({**tree, "shop/locale/de/django.mo": ""})]


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
    assert python({path: text}) == minor


def refused(project, *options, folder=None):
    """Return the lines of its refusal. It must print nothing else."""
    done = project.adopt(*options, folder=folder)
    assert done.returncode == 1 and not done.stdout, done.stdout
    lines = done.stderr.splitlines()
    assert all(line.startswith("adopt: ") for line in lines), done.stderr
    return lines


def test_refusals(theirs, tmp_path):
    """All reasons are reported at once, one a line, and nothing is written."""
    project = theirs({**LAYERS, "deploy.mk": "ours:\n", "docker": "#!/bin/sh\n", ".gitignore": "django.mk\nve/\n"})
    (tmp_path / "outside").mkdir()
    (project.folder / "vendor").symlink_to(tmp_path / "outside")
    (project.folder / "requirements/base.txt").unlink()
    (project.folder / "requirements/base.txt").symlink_to(tmp_path / "outside/list")
    (project.folder / "requirements/local.txt").write_bytes("pytest  # für alle\n".encode("latin-1"))
    (tmp_path / "outside/list").write_text("django\n")
    project.commit("More")
    lines = refused(project, "--level", "servers", "--apply")
    told = [
        "deploy.mk exists",
        "docker exists",
        ".whl leads via",
        "vendor/.gitattributes leads via",
        "requirements/base.txt leads via",
        "django.mk is ignored by git",
        "requirements/local.txt is neither UTF-8 nor UTF-16: save it as UTF-8",
    ]
    assert [line for line in told if line not in str(lines)] == [] and len(lines) == len(told), lines
    assert project.git("status", "--porcelain") == "" and (tmp_path / "outside/list").read_text() == "django\n"
    project.edit("manage.py", "config.settings.local", "settings")
    project.commit("Flat")
    assert "DJANGO_SETTINGS_MODULE in manage.py is settings: " in str(refused(project, "--level", "image"))
    (project.folder / "new.txt").write_text("new\n")
    assert "git commit" in refused(project)[0] and "no manage.py" in refused(project, folder=tmp_path / "outside")[0]


def test_folders_are_shared(theirs):
    """Other files in a shared folder stay. If the place of the servers' file is taken, it gets another."""
    project = theirs({**LAYERS, "deploy": "#!/bin/sh\n", "docker/dev.sh": "#!/bin/sh\n", ".python-version": "3.12\n"})
    project.adopted("--level", "servers")
    assert "PYTHON_MIN = 3.12\n" in (project.folder / "Makefile").read_text()
    done = project.make("config-check", "ENV=nowhere", f"PYTHON={VE_PYTHON}")
    assert "servers/nowhere.toml: there is no such file" in done.stderr
    assert "web1" in passed(project.make("config-check", f"PYTHON={VE_PYTHON}", "IMAGE=r.example/shop")).stdout
    assert project.changed() == [] and (project.folder / "docker/dev.sh").exists()


def test_level_servers(clone, tmp_path):
    """The servers have the project's name. make template-update brings the template's next release, but leaves the
    project's own compose.yaml. The project's linter accepts the template's files, and its git stores a whole wheel."""
    clone.git("remote", "remove", "origin")
    style = "[flake8]\nexclude = */migrations/*,ve\nper-file-ignores = config/settings/*:E501\n"
    files = {**LAYERS, "setup.cfg": style, "compose.yaml": "services: {}\n"}
    project = Theirs(tmp_path / "My shop", files, clone)
    project.adopted("--level", "servers", "--apply")
    passed(project.make("lint"))
    project.commit("Slipway")
    toml = (project.folder / "deploy/production.toml").read_text()
    assert 'app = "my-shop"\n' in toml and "\nimage = " not in toml
    clone.edit("docker-run.sh", "\n", "\n# of today\n")
    clone.edit("compose.yaml", "services:\n", "services:  # of today\n")
    clone.commit("Next")
    clone.git("tag", "3.0.0")
    passed(project.make("template-update"))
    assert {path for path in project.changed() if "vendor/" not in path} == {
        ".copier-answers.yml",
        "docker-run.sh",
        "requirements/base.txt",
    }
    assert [path.name for path in project.folder.glob("vendor/*.whl")] == ["slipway_django-3.0.0-py3-none-any.whl"]
    assert "/slipway_django-3.0.0-" in (project.folder / "requirements/base.txt").read_text()
    assert not project.git("ls-files", "--others", "--exclude-standard")
    assert "text: unset" in project.git("check-attr", "text", "vendor/slipway_django-3.0.0-py3-none-any.whl")
    project.commit("3.0.0")
    assert "wrote: " not in project.adopted("--level", "image")


WHEEL = "./vendor/slipway_django-1-py3-none-any.whl[psycopg2]"
GROUPS = (
    "[project]\noptional-dependencies = {prod = ['gunicorn'], docs = ['furo']}\n"
    "[dependency-groups]\ndev = ['faker', {include-group = 'lint'}]\ntest = []\nlint = ['ruff']\n"
)


@pytest.mark.parametrize(
    "files, lines, texts, left",
    [
        ({}, [], {"requirements.txt": f"django\n{WHEEL}\n", "requirements/dev.txt": f"{LINTER}\n"}, ""),
        (
            {"requirements.txt": "django\npsycopg", "requirements-dev.txt": "pytest\n"},
            ["REQUIREMENTS_DEV = requirements-dev.txt"],
            {
                "requirements.txt": "django\npsycopg\n./vendor/slipway_django-1-py3-none-any.whl\n",
                "requirements-dev.txt": f"pytest\n{LINTER}\n",
            },
            "",
        ),
        (
            {"requirements.txt": "#    pip-compile requirements.in\ndjango==5.2\n", "requirements.in": "django\n"},
            [],
            {"requirements.in": f"django\n{WHEEL}\n", "requirements/dev.txt": f"{LINTER}\n"},
            "",
        ),
        (
            {"requirements.txt": "django==5.2 --hash=sha256:00\n"},
            [],
            {"requirements/dev.txt": f"{LINTER}\n"},
            f"requirements.txt:1: it has hashes: add {WHEEL} and {LINTER} by the program that writes it",
        ),
        ({"poetry.lock": "", "pyproject.toml": ""}, [], {}, f"add {WHEEL} there, then poetry export"),
        ({"pyproject.toml": "[project]\n"}, [], {}, "pyproject.toml:1: uv lock, then adopt again"),
        (
            {"pyproject.toml": "[tool.black]\n"},
            [],
            {"requirements.txt": f"django\n{WHEEL}\n", "requirements/dev.txt": f"{LINTER}\n"},
            "",
        ),
        (
            {"uv.lock": "", "pyproject.toml": "[project]\n"},
            [],
            {},
            f"uv add --no-sync '{WHEEL}' && uv add --no-sync --dev",
        ),
        (
            {"uv.lock": "psycopg", "pyproject.toml": GROUPS, "requirements.txt": "django==5.2\n"},
            [
                "REQUIREMENTS = var/pins/requirements.txt",
                "REQUIREMENTS_DEV = var/pins/dev.txt",
                "EXPORT = --no-dev --extra prod",
                "EXPORT_DEV = --only-group dev --only-group test",
            ],
            {},
            "EXPORT and EXPORT_DEV of the Makefile leave out docs, lint",
        ),
        ({"uv.lock": "", "pyproject.toml": "[[slipway-django"}, [], {}, ""),
    ],
)
def test_lists_of_packages(files, lines, texts, left):
    """Each project keeps its own. A list without hashes gets two lines; for others one line says what to do by their
    own tool, until it is done."""
    packages = find_packages(files, {})
    package = requirement(files, "vendor/slipway_django-1-py3-none-any.whl", False)
    assert packages.lines() == lines and with_packages(files, {}, packages, package) == texts
    items = "\n".join(left_to_do(files, packages, package))
    assert left in items and bool(left) == bool(items), items
    assert with_packages({**files, **texts}, {}, find_packages({**files, **texts}, {}), package) == {}, "once is enough"


def test_a_project_of_uv(theirs):
    """make's pins are those of its uv.lock. With --apply, uv adds the package."""
    project = theirs(
        {**LAYERS, "pyproject.toml": "[project]\nname = 'shop'\nversion = '1'\ndependencies = ['django']\n"}
    )
    output([UV, "lock", "--quiet"], cwd=project.folder, env=settings({**os.environ, **project.env}, indexes=False))
    locked = re.search(r'name = "django"\nversion = "(.*)"', (project.folder / "uv.lock").read_text())[1]
    project.commit("uv")
    project.adopted("--level", "image", "--apply")
    assert {"pyproject.toml", "uv.lock"} < {*project.changed()}
    assert "slipway-django[jobs,psycopg2]" in (project.folder / "pyproject.toml").read_text()
    passed(project.make("requirements.txt", f"PYTHON={BASE_PYTHON}"))
    pins = (project.folder / "requirements.txt").read_text()
    assert f"\ndjango=={locked} " in pins and "./vendor/slipway_django-" in pins
    assert LINTER in (project.folder / "requirements/dev.txt").read_text()
    assert project.git("ls-files", "--others", "--exclude-standard", "requirements*") == ""


def test_further_down_in_the_repository(theirs):
    """A project in a subfolder of its repository is adopted there, with pytest's settings for its tests. Its packages
    may be listed above."""
    inner = {f"site/{path}": text for path, text in LAYERS.items()}
    inner["site/config/test_settings.py"] = "from .settings.base import *  # noqa\n"
    inner["requirements.txt"] = inner.pop("site/requirements/base.txt")
    inner["site/pytest.ini"] = "[pytest]\nDJANGO_SETTINGS_MODULE = config.test_settings\n"
    project = theirs(inner)
    passed(project.adopt("--level", "image", folder=project.folder / "site"))
    assert "\nfrom config.test_settings import *" in (project.folder / "site/config/settings_test.py").read_text()
    assert (project.folder / "site/requirements/local.txt").read_text() == LAYERS["requirements/local.txt"]
    listed = (project.folder / "site/requirements.txt").read_text()
    assert re.fullmatch(r"Django.*\ncelery\n\./vendor/\S+\.whl\[jobs,psycopg2\]\n", listed), listed
