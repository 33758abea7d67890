"""Tests of the steps that the start page and docs/tasks.md give a newcomer, one after the other, then `make test`."""

import html
import http.client
import re
import urllib.request

from proc import ROOT, answers, edit, free_port, output, wait_until

ANN = {"DJANGO_SUPERUSER_USERNAME": "ann", "DJANGO_SUPERUSER_EMAIL": "", "DJANGO_SUPERUSER_PASSWORD": "x"}
APPS = {"orders": "Orders", "stock_entries": "Stock entries"}
OWN_PAGE = '{% extends "base.html" %}{% block body %}Ours{% endblock %}\n'


def typed(clone, line, **env):
    """Type a command of the page into a shell in the clone. Return its output."""
    words = line.replace("make ", "make -o ve/sentinel -o ve/sentinel-dev ")  # without remaking the virtualenv
    return output(["sh", "-c", words], timeout=400, cwd=clone.path, env={**clone.environment, **env})


def read(port, path=""):
    """Return a page. Raise OSError also if the server breaks off, as it restarts when code changes."""
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/{path}", timeout=30) as answer:
            return answer.read()
    except http.client.IncompleteRead as error:
        raise OSError(error) from error


def page(port):
    """Return what the page tells the newcomer: (commands to type, files to change)."""
    text = html.unescape(read(port).decode().partition("What to do next")[2].replace("<wbr>", ""))
    return re.findall("<kbd>(.*?)</kbd>", text), re.findall("<code>(.*?)</code>", text)


def make_it_yours(path):
    """Change every text and color that a visitor sees."""
    edit(path / "project/settings_base.py", "SITE_NAME = ", 'SITE_NAME = "Corner of " + ')
    edit(path / "project/static/site.css", "--accent: #b8330d", "--accent: #0d33b8")
    edit(path / "project/templates/404.html", "There is no such page", "Nobody has been here", 2)
    for name in ("home.html", "welcome.html"):
        (path / "project/home/templates/home" / name).write_text(OWN_PAGE)


def test_all_that_the_page_says(clone):
    """All steps work one after the other while the server runs, for apps of any name, and make test passes."""
    port = free_port()
    with clone.start("runserver", f"PORT={port}"):
        wait_until(lambda: answers(port))
        commands, files = page(port)
        assert {"./manage.py createsuperuser", "make migrate", "make migrations migrate"} <= set(commands)
        assert {"home.html", "welcome.html", "project/static/site.css", "SITE_NAME", "tasks.py"} <= set(files)
        typed(clone, "./manage.py createsuperuser --noinput", **ANN)
        make_it_yours(clone.path)
        wait_until(lambda: b"Ours" in read(port))
        for app, title in APPS.items():
            typed(clone, next(line for line in commands if "make app" in line).replace("orders", app))
            typed(clone, "make migrate")
            wait_until(lambda: f"<h1>{title}</h1>".encode() in read(port, f"{app}/"))
    samples = re.findall("```python\n(.*?)```", (ROOT / "docs/tasks.md").read_text(), re.DOTALL)
    for name, text in zip(("tasks.py", "test_tasks.py"), samples, strict=True):
        (clone.path / "project/orders" / name).write_text(text)
    assert re.search("make: passed: check flake8 .*migrations tests", typed(clone, "make test"))
