"""Tests of adopting the template in an existing project, level by level, without a change that was not requested."""

import json
import os
import re
import shlex
import shutil
import sys

import pytest

import wheels
from documented import block
from proc import ROOT, UV, VE_PYTHON, passed, put, run, running, wait_until, words_of
from theirs import LAYERS, PLAIN, Theirs, production

BASE_PYTHON = os.path.realpath(sys.executable)


LISTS = ("requirements.txt", "requirements/dev.txt")


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
    assert "left to do by hand" in done.stdout and words_of(done) == "make: installing slipway/requirements/uv.txt\n"
    assert (clone.folder / "var/uv/bin/uv").exists() and not (project.folder / "var").exists()


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
    changed = {"Dockerfile", "Makefile", ".gitignore", ".dockerignore", "manage.py", "requirements/base.txt"}
    assert {*project.changed()} == changed
    assert re.search(
        r"^\./vendor/\S+\.whl\[jobs,psycopg2]$", (project.folder / "requirements/base.txt").read_text(), re.M
    )
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


@pytest.mark.parametrize(
    "path, more, encoding, reason",
    [
        ("requirements/base.txt", "", "utf-16-be", "null characters"),
        ("requirements/local.txt", "", "utf-32", "null characters"),
        ("Makefile", "", "utf-16-le", "null characters"),
        (".gitignore", "# für alle\n", "latin-1", "neither UTF-8 nor UTF-16"),
    ],
)
def test_no_file_gets_two_encodings(theirs, path, more, encoding, reason):
    """A file whose encoding is not known gets no line of ours: it is refused, and stays."""
    project = theirs({"Makefile": "mine:\n\ttrue\n", ".gitignore": "x\n", **LAYERS})
    data = ((project.folder / path).read_text() + more).encode(encoding)
    (project.folder / path).write_bytes(data)
    project.commit("Mine")
    (line,) = refused(project, "--level", "image", "--apply")
    assert line.startswith(f"adopt: {path} ") and reason in line and line.endswith(": save it as UTF-8")
    assert (project.folder / path).read_bytes() == data and project.git("status", "--porcelain") == ""


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
    assert 'app = "my-shop"\n' in toml and '\nimage = "my-shop"\n' in toml
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
