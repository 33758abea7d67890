"""What the start page and docs/tasks.md tell a newcomer to do, done one step after the other; then `make test`."""

import html
import re
import urllib.request

import pytest

from proc import ROOT, answers, free_port, run, wait_until

ANN = {"DJANGO_SUPERUSER_USERNAME": "ann", "DJANGO_SUPERUSER_EMAIL": "", "DJANGO_SUPERUSER_PASSWORD": "x"}
APPS = ["shop", "orders"]
MODEL = "from django.db import models\n\n\nclass Note(models.Model):\n    text = models.TextField()\n"
OWN_PAGE = '{% extends "base.html" %}{% block body %}Ours{% endblock %}\n'


@pytest.fixture
def typed(clone):
    """typed("make test", …): what the page says to type, typed into a shell in the clone; what it said."""
    def type_(line, **env):
        words = line.replace("make ", "make -o ve/sentinel -o ve/sentinel-dev ")  # not the virtualenv once more
        done = run(["sh", "-c", words], timeout=400, cwd=clone.path, env={**clone.environment, **env})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return type_


def change(path, before, after):
    text = path.read_text()
    assert before in text, f"{path} has no {before}"
    path.write_text(text.replace(before, after))


def page(port):
    """What the page tells: what to type, and which files to change."""
    with urllib.request.urlopen(f"http://localhost:{port}/", timeout=30) as answer:
        text = html.unescape(answer.read().decode().partition("What to do next")[2].replace("<wbr>", ""))
    return re.findall("<kbd>(.*?)</kbd>", text), re.findall("<code>(.*?)</code>", text)


def make_it_yours(path):
    """Everything that a visitor reads in other words."""
    change(path / "project/settings_shared.py", "SITE_NAME = ", 'SITE_NAME = "Corner of " + ')
    change(path / "project/static/site.css", "--accent: #b8330d", "--accent: #0d33b8")
    change(path / "project/templates/404.html", "There is no such page", "Nobody has been here")
    for name in ("home.html", "welcome.html"):
        (path / "project/home/templates/home" / name).write_text(OWN_PAGE)


def fill(path, app):
    """The app as the page says, with the task of docs/tasks.md and its test."""
    folder = path / "project" / app
    change(folder / "apps.py", f"name = '{app}'", f'name = "project.{app}"')
    change(path / "project/settings_shared.py", "INSTALLED_APPS = [", f'INSTALLED_APPS = [\n    "project.{app}",')
    for name in ("admin.py", "views.py"):
        (folder / name).unlink()
    (folder / "models.py").write_text(MODEL)
    tasks, tests = re.findall("```python\n(.*?)```", (ROOT / "docs/tasks.md").read_text(), re.DOTALL)
    (folder / "tasks.py").write_text(tasks)
    (folder / "tests.py").write_text(tests)


def test_all_that_the_page_says(clone, typed):
    """One step after the other while the server runs, then make test: green, with apps of any name."""
    port = free_port()
    with clone.start("runserver", f"PORT={port}"):
        wait_until(lambda: answers(port))
        commands, files = page(port)
        assert {"./manage.py createsuperuser", "make migrations", "make migrate", "make test"} <= set(commands)
        assert {"home.html", "welcome.html", "project/static/site.css", "SITE_NAME", "apps.py", '"project.shop"',
                "admin.py", "views.py", "tests.py", "tasks.py"} <= set(files)
        typed("./manage.py createsuperuser --noinput", **ANN)
        make_it_yours(clone.path)
        for app in APPS:
            typed(next(line for line in commands if "startapp" in line).replace("shop", app))
            fill(clone.path, app)
        typed("make migrations")
        typed("make migrate")
        wait_until(lambda: b"Ours" in urllib.request.urlopen(f"http://localhost:{port}/", timeout=30).read())
    assert re.search("make: passed: check flake8 .*migrations tests", typed("make test"))
