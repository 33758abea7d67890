"""A project that others have begun takes over the template, level by level, and nothing of it changes unasked."""

import contextlib
import json
import os
import re
import secrets
import sys
import urllib.error
import urllib.request

import pytest

from checkout import Folder
from proc import ROOT, free_port, run, running, wait_until
from theirs import LAYERS, PLAIN, Theirs

sys.path.insert(0, str(ROOT / "make"))
import adopt_todo  # noqa: E402


@pytest.fixture
def theirs(template, tmp_path):
    """Makes a project of these files."""
    return lambda files: Theirs(tmp_path / "my shop", files, template)


def passes(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def production(project, **more):
    """The environment of the image, as far as the project needs it."""
    package = "config" if (project.folder / "config").exists() else "mysite"
    return {"SECRET_KEY": secrets.token_hex(32), "SITE_URL": "http://localhost", "WEB_CONCURRENCY": "1",
            "DATABASE_URL": f"sqlite:///{project.folder}/var.sqlite3",
            "DJANGO_SETTINGS_MODULE": f"{package}.settings_docker", **more}


def of_production(project, *names, env):
    """The values of settings."""
    code = f"import json\nfrom django.conf import settings\nprint(json.dumps([getattr(settings, n) for n in {names}]))"
    return json.loads(passes(run([project.folder / "ve/bin/python", "-c", code], cwd=project.folder,
                                 env={**project.env, **env})))


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=30) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextlib.contextmanager
def served(project, env):
    """The port of the site under the image's server."""
    port = free_port()
    command = [project.folder / "ve/bin/python", "-m", "gunicorn", "--config", "python:slipway.web.gunicorn"]
    with running(command, cwd=project.folder, env={**project.env, **env, "PORT": str(port)}):
        wait_until(lambda: get(port, "/healthz")[0] == 200)
        yield port


def test_levels_make_and_image(theirs):
    """First make test passes; then production's settings are the project's and the template's: check passes, and the
    site is served and ready. None of the project's files changes, and doing it again does nothing."""
    project = theirs(PLAIN)
    said = project.adopted()
    assert re.search("make: passed: check flake8 .*migrations tests\n", passes(project.make("test")))
    assert project.changed() == [] and not (project.folder / "slipway").exists()
    project.commit("Slipway")
    again = project.adopted()
    assert "wrote: " in said and "wrote: " not in again and project.git("status", "--porcelain") == ""
    project.adopted("--level", "image")
    assert project.changed() == []
    env = production(project)
    for words in (["check"], ["makemigrations", "--check"], ["collectstatic", "--no-input"], ["migrate"]):
        passes(project.manage(*words, **env))
    assert (project.folder / "static-root/staticfiles.json").exists()
    with served(project, env) as port:
        status, page = get(port, "/readyz")
        assert status == 200 and json.loads(page)["parts"].keys() == {"database", "migrations", "cache"}, page
    tests = {"DJANGO_SETTINGS_MODULE": env["DJANGO_SETTINGS_MODULE"].replace("docker", "test"), "TEST_DATABASE_URL": ""}
    assert "Ran 0 tests" in passes(project.manage("test", **tests))


def test_own_settings_stay(theirs):
    """Of the project's own settings those stay that production's do not set; its user model and its checks are some of
    them."""
    module = "config/settings/production.py"
    project = theirs({**LAYERS, module: f"{LAYERS[module]}READINESS = {{'broker': 'shop.broker'}}\n"})
    project.adopted("--level", "image")
    names = "AUTH_USER_MODEL", "SHOP_OPEN", "SHOP_KEY", "SECRET_KEY", "MIDDLEWARE", "READINESS"
    env = production(project, SHOP_KEY="from the environment", BROKER_URL="redis://localhost/0")
    user, is_open, key, secret, middleware, readiness = of_production(project, *names, env=env)
    assert (user, is_open, key, secret) == ("shop.Customer", True, "from the environment", env["SECRET_KEY"])
    assert middleware.count("whitenoise.middleware.WhiteNoiseMiddleware") == 1
    common = middleware.index("django.middleware.common.CommonMiddleware")
    assert middleware.index("slipway.web.middleware.Probes") < common
    assert readiness.keys() == {"database", "migrations", "cache", "broker"} and readiness["broker"] == "shop.broker"


def test_manage_in_the_package(theirs):
    """The settings are found where manage.py imports what runs; those for tests, which are named first, do not count,
    and make is told the package."""
    inner = ("import os\nimport sys\n\n\ndef main():\n    if sys.argv[1:2] == ['test']:\n"
             "        os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'test.settings')\n"
             "    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.local')\n"
             "    from django.core.management import execute_from_command_line\n"
             "    execute_from_command_line(sys.argv)\n")
    project = theirs({**LAYERS, "config/manage.py": inner, "manage.py": "from config.manage import main\n\nmain()\n",
                      "test/__init__.py": "", "test/settings.py": "from config.settings.base import *  # noqa\n"})
    assert "found: settings config.settings.local;" in project.adopted("--level", "image", "--apply")
    assert (project.folder / "config/settings_docker.py").exists()
    assert "--build-arg PROJECT='config'" in project.make("-n", "build").stdout
    assert "Ran 1 test" in passes(project.make("test"))


CELERY = "from slipway.celery import app  # noqa: E402\n"


@pytest.mark.parametrize("app", ["the template's", "its own"])
def test_worker(theirs, redis, app):
    """The image's worker of either Celery app, by what the checklist says, runs the project's tasks and tells a deploy
    that it is ready; beat has the heartbeat among its entries."""
    project = theirs(LAYERS)
    said = project.adopted("--level", "image")
    assert re.search(r"config/celery\.py:6: .*slipway\.celery import app.*slipway\.jobs\.worker:Consumer", said), said
    celery = project.folder / "config/celery.py"
    own = celery.read_text()
    if app == "the template's":
        own = own.split("app = ")[0].replace("from celery import Celery\n", CELERY)
    celery.write_text(own)
    ready = project.folder / "ready"
    env = production(project, BROKER_URL=f"redis://localhost:{redis.port}/0", READY_FILE=str(ready))
    passes(project.manage("migrate", **env))
    path = f"{project.folder}/ve/bin:{os.environ['PATH']}"
    worker = {**project.env, **env, "PATH": path, "PROJECT": "config"}
    with running(["sh", "docker-run.sh", "worker", "--pool", "solo"], cwd=project.folder, env=worker) as process:
        wait_until(lambda: ready.exists() and ready.read_text().startswith("consuming"), what="the worker is ready")
        passes(project.manage("shell", "-c", "from shop.tasks import pack; pack.delay()", **env))
        wait_until(lambda: "shop.tasks.pack" in process.output(), what="the task has run")
        with running(["sh", "docker-run.sh", "beat"], cwd=project.folder, env=worker):
            wait_until(lambda: "slipway.tasks.heartbeat" in process.output(), what="the worker has had a heartbeat")
            code = "from django_celery_beat.models import PeriodicTask as P; print(P.objects.get(name='heartbeat'))"
            wait_until(lambda: "heartbeat: every" in project.manage("shell", "-c", code, **env).stdout,
                       what="it goes on")


def test_changes_are_shown(theirs):
    """What differs is shown as a diff that git takes, and changed by --apply alone; a Makefile keeps its targets, the
    first of them first."""
    project = theirs({**LAYERS, "Makefile": "hello:\n\t@echo hello\n\ntest: hello\n"})
    said = project.adopted("--level", "image")
    assert project.changed() == [] and (project.folder / "Dockerfile").read_text() == LAYERS["Dockerfile"]
    assert "would change: Dockerfile\n--- a/Dockerfile\n" in said and "-FROM python:3.12\n" in said
    assert "Makefile:4: test is a target of django.mk, too" in said
    assert "Dockerfile:2: Debian's packages go into docker/packages.txt, one a line: gettext libpq5\n" in said
    (project.folder.parent / "patch").write_text(re.split(r"^\nleft to do", said, flags=re.MULTILINE)[0] + "\n")
    project.git("apply", "--check", str(project.folder.parent / "patch"))
    project.commit("Slipway")
    said = project.adopted("--level", "image", "--apply")
    assert set(project.changed()) == {"Dockerfile", "Makefile", ".gitignore"} and "changed: Dockerfile\n" in said
    assert (project.folder / "Dockerfile").read_text() == (ROOT / "Dockerfile").read_text()
    assert project.make().stdout == "hello\n" and "runserver" in project.make("help").stdout


def test_other_ways_to_say_it(theirs):
    """A Celery app of a class of its own, a Dockerfile that installs twice in a line, a Django too old, and a file for
    Docker Compose, which stays: make up takes the one beside it."""
    project = theirs({**LAYERS, "docker-compose.yaml": "services: {}\n",
                      "config/celery.py": LAYERS["config/celery.py"].replace("app = Celery(", "app = Mine(").replace(
                          "\napp = ", "\n\nclass MyCelery(Celery):\n    pass\n\n\napp = ").replace("Mine", "MyCelery"),
                      "requirements/base.txt": "Django<5,>=3\ncelery\n",
                      "config/settings/base.py": LAYERS["config/settings/base.py"] + "CELERY_TASK_ROUTES = {}\n",
                      "Dockerfile": "RUN apt-get update && apt-get -q install a >/dev/null && \\\n"
                                    "    apt-get install --no-install-recommends >/dev/null \\\n    b && true\n"})
    said = project.adopted("--level", "image")
    assert "found: Celery app: config/celery.py:11\n" in said
    assert "Dockerfile:1: Debian's packages go into docker/packages.txt, one a line: a b\n" in said
    assert "requirements/base.txt:1: slipway needs Django 5.1 or newer" in said
    assert "config/settings/base.py:16: the image's worker takes tasks from the queue celery alone" in said
    assert "docker-compose.yaml: it stays" in said and not (project.folder / "compose.yaml").exists()
    assert "worker:" in (project.folder / "compose.slipway.yaml").read_text()
    down = project.make("-n", "down").stdout
    assert " --file compose.slipway.yaml " in down and "-slipway' --env-file" in down, "theirs may have its name"
    project.commit("Slipway")
    assert "wrote: compose" not in project.adopted("--level", "servers")


@pytest.mark.parametrize("line, old", [
    ("Django<5,>=3", True), ("django==4.2.1", True), ("Django~=5.0", True), ("Django<5.1", True), ("Django<=5", True),
    ('    "django==4.2",', True), ("Django>=4.2,<6", False), ("Django>=4.2,<5.3", False), ("Django<5.2", False),
    ("Django==5.2", False), ("django-allauth==1.4", False), ("Django", False), ("Django~=5", False)])
def test_a_django_too_old(line, old):
    assert bool(re.search(adopt_todo.OLD_DJANGO, line)) == old


def refused(project, *options, folder=None):
    """The lines in which it refuses; nothing has changed."""
    done = project.adopt(*options, folder=folder)
    assert done.returncode == 1 and not done.stdout, done.stdout
    lines = done.stderr.splitlines()
    assert all(line.startswith("adopt: ") for line in lines), done.stderr
    return lines


def test_refusals(theirs, tmp_path):
    """A line for each reason, all at once, and nothing is written."""
    project = theirs({**LAYERS, "deploy/ci.sh": "ours\n", "make": "#!/bin/sh\n"})
    lines = refused(project, "--level", "servers")
    assert len(lines) == 2 and "deploy/ci.sh is there" in lines[0] and "make is there" in lines[1], lines
    assert project.git("status", "--porcelain") == ""
    (project.folder / "new.txt").write_text("new\n")
    assert "1 files" in refused(project)[0] and "git commit" in refused(project)[0]
    (tmp_path / "empty").mkdir()
    lines = refused(project, folder=tmp_path / "empty")
    assert len(lines) == 2 and "no manage.py" in lines[0] and "git init" in lines[1], lines


def test_settings_in_no_package(theirs):
    """The image needs them in one; make does not."""
    project = theirs({"manage.py": LAYERS["manage.py"].replace("config.settings.local", "settings"),
                      "settings.py": "SECRET_KEY = 'x'\n"})
    assert len(refused(project, "--level", "image")) == 1
    project.adopted()
    passes(project.make("test"))


def test_level_servers(template, tmp_path):
    """The servers are the project's by name, and make template-update brings the template's next release, and nothing
    into a compose.yaml of the project's own. As the checklist has it, make lint leaves out the template's files."""
    clone = Folder(tmp_path / "template")
    run(["git", "clone", "--quiet", template.folder, clone.folder], env=clone.env)
    clone.git("remote", "remove", "origin")
    files = {**LAYERS, "setup.cfg": "[flake8]\n", "compose.yaml": "services: {}\n"}
    project = Theirs(tmp_path / "My shop", files, clone)
    said = project.adopted("--level", "servers", "--apply")
    left_out = re.search(r"setup\.cfg:1: leave out make, slipway and deploy, .*: ([\w-]+)$", said, re.MULTILINE)
    (project.folder / "setup.cfg").write_text(f"[flake8]\n{left_out[1]} = make,slipway,deploy,*/migrations/*\n"
                                              "max-line-length = 110\n")
    passes(project.make("lint"))
    project.commit("Slipway")
    toml = (project.folder / "deploy/production.toml").read_text()
    assert 'app = "my-shop"\n' in toml and "\nimage = " not in toml
    clone.edit("slipway/settings/production.py", "DEBUG = False\n", "DEBUG = False  # ever\n")
    clone.edit("compose.yaml", "services:\n", "services:  # of today\n")
    clone.commit("Next")
    clone.git("tag", "3.0.0")
    passes(project.make("template-update"))
    assert set(project.changed()) == {".copier-answers.yml", "slipway/settings/production.py"}
    assert not project.git("ls-files", "--others", "--exclude-standard")


LISTS = [
    ({"requirements.txt": "Django==5.2 \\\n    --hash=sha256:00\n# more\ncelery[redis]  # jobs\n"},
     ["Django==5.2", "celery[redis]"]),
    ({"requirements/production.txt": "-r base.txt\ngunicorn\n", "requirements/base.txt": "Django\n"},
     ["-r requirements/production.txt"]),
    ({"pyproject.toml": "[project]\nname = 'shop'\ndependencies = ['Django>=5', 'pillow']\n"}, ["Django>=5", "pillow"]),
    ({"pyproject.toml": "[tool.poetry.dependencies]\npython = '^3.11'\nDjango = '^5.2'\nredis = {version = '*', "
                        "extras = ['hiredis']}\nold = '^0.3.1'\nfixed = '1.0'\nnear = '~2.1'\n"},
     ["Django>=5.2,<6", "redis[hiredis]", "old>=0.3.1,<0.4", "fixed==1.0", "near~=2.1"]),
    ({"Pipfile": "[packages]\ndjango = '*'\npillow = '==11.0'\n"}, ["django", "pillow==11.0"]),
    ({"setup.cfg": "[options]\ninstall_requires =\n    Django\n    pillow>=11\n"}, ["Django", "pillow>=11"]),
    ({}, ["django"]),
]


@pytest.mark.parametrize("files, lines", LISTS, ids=[" ".join(files) or "none" for files, _ in LISTS])
def test_requirements(theirs, files, lines):
    """Whatever form the list has, requirements.in has its lines; the image adds only what is not there."""
    project = theirs({**LAYERS, "requirements/base.txt": "", **files} if "requirements/base.txt" in files else
                     {**{path: text for path, text in LAYERS.items() if not path.startswith("requirements/")}, **files})
    project.adopted("--level", "image")
    listed = (project.folder / "requirements.in").read_text().splitlines()[1:]
    assert listed[:len(lines)] == lines
    names = [re.split(r"[^\w-]", line)[0].lower() for line in listed]
    assert len(names) == len(set(names)) and {"whitenoise", "django-celery-beat"} < {*names}
    assert ("gunicorn" in names) != ("gunicorn" in str(files))


def test_further_down_in_the_repository(theirs):
    """A project in a folder of its repository: lists of packages count that lie above it."""
    inner = {f"site/{path}": text for path, text in LAYERS.items() if not path.startswith("requirements/")}
    inner["site/config/test_settings.py"] = "from .settings.base import *  # noqa\n"
    pyproject = ("[tool.pytest.ini_options]\nDJANGO_SETTINGS_MODULE = 'config.test_settings'\n[project]\n"
                 "name = 'shop'\ndependencies = ['Django>=5']\n[project.optional-dependencies]\npdf = ['x']\n")
    project = theirs({**inner, "pyproject.toml": pyproject, "requirements/test.txt": "pytest\n"})
    done = project.adopt("--level", "image", folder=project.folder / "site")
    assert "requirements.in: ../pyproject.toml has extras, too: add what production uses of pdf" in passes(done)
    assert '"config.test_settings"' in (project.folder / "site/config/settings_test.py").read_text()
    lines = [(project.folder / f"site/{path}").read_text().splitlines()[1]
             for path in ("requirements.in", "requirements/dev.in")]
    assert lines == ["Django>=5", "-r ../../requirements/test.txt"]
