"""Tests of make app: a complete, typed app, or one line of error. The app's tests run in celery/test_start_page.py."""

import shutil

import pytest

from checkout import NOTHING_TO_INSTALL, Checkout
from proc import executable, output, passed, put, run

SETTINGS, URLS = "project/settings_base.py", "project/urls.py"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("an app") / "clone")


@pytest.fixture
def tree(clone):
    """Return a clone, in which a test may make an app."""
    yield clone
    clone.git("reset", "-q", "--hard")
    clone.git("clean", "-fdq", "project")


def changed(tree):
    return tree.git("status", "--porcelain", "-uall", "project")


def test_an_app_is_listed_and_typed(tree):
    """mypy --strict accepts a new app, models and admin included, with the project."""
    done = tree.make("app", "NAME=stock_entries")
    assert (done.returncode, done.stdout) == (
        0,
        "wrote project/stock_entries; next: make migrate, then open /stock_entries/ and the admin\n",
    ), done.stderr
    assert '    "project.home",\n    "project.stock_entries",\n    "slipway",' in (tree.folder / SETTINGS).read_text()
    assert (
        'urlpatterns = [\n    path("stock_entries/", include("project.stock_entries.urls")),\n'
        in (tree.folder / URLS).read_text()
    )
    assert "class StockEntry(" in (tree.folder / "project/stock_entries/models.py").read_text()
    output([tree.folder / "ve/bin/python", "-m", "mypy", "--strict", "project/stock_entries"], cwd=tree.folder)


ORDINARY = """
import a_package_without_types
from celery import shared_task
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.http import HttpRequest

def latest(request: HttpRequest) -> str:
    get_user_model().objects.create_user("ann")
    return f"{request.user.email} {LogEntry.objects.all()[0].user_id}"

@shared_task(bind=True)
def send(self, number):
    self.retry(countdown=number, kwargs=a_package_without_types.more(number))
"""


def test_types_are_demanded_by_one_line(tree):
    """mypy accepts a day's ordinary code, with and without types; `strict` asks for types."""
    words = [tree.folder / "ve/bin/python", "-m", "mypy"]
    (tree.folder / "project/ordinary.py").write_text(ORDINARY)
    output(words, cwd=tree.folder)
    tree.edit("pyproject.toml", "[tool.mypy]", "[tool.mypy]\nstrict = true")
    assert run(words, cwd=tree.folder).stdout.count("ordinary.py:") == 1


def test_a_commit_is_formatted_and_linted(tree, tmp_path):
    """pre-commit's hooks run make format and make lint: what ruff wrote passes flake8 and its own rules."""
    quick = " ".join([*NOTHING_TO_INSTALL, "MYPY=true", "SHELL_FILES=", "DOCKERFILES="])
    executable(tmp_path / "make", f'#!/bin/sh\nexec {shutil.which("make")} {quick} "$@"\n')
    code = "'''Untidy.'''\nimport sys\nimport os\n\ndef page( n ):\n    rows = [os,sys]\n    return rows[n+1 :n]\n"
    put(tree.folder / "project/untidy.py", code)
    tree.git("add", ".")
    words = [tree.folder / "ve/bin/pre-commit", "run", "--all-files"]
    env = {**tree.env, "PATH": f"{tmp_path}:{tree.env['PATH']}"}
    assert "files were modified" in run(words, cwd=tree.folder, env=env).stdout
    assert "rows[n + 1 : n]" in (tree.folder / "project/untidy.py").read_text()
    assert "make lint..." in passed(run(words, cwd=tree.folder, env=env)).stdout


def test_lists_that_are_not_found(tree):
    """The app is written, without a task as there is no Celery; each line to add is printed with its place."""
    tree.edit(SETTINGS, "INSTALLED_APPS = [", "INSTALLED_APPS = [] + [")
    tree.edit(URLS, "urlpatterns = [", "urlpatterns = [] + [")
    (tree.folder / "project/celery.py").unlink()
    assert tree.make("app", "NAME=orders").stdout.splitlines()[:2] == [
        'add to project/settings_base.py by hand: "project.orders",',
        'add to project/urls.py by hand: path("orders/", include("project.orders.urls")),',
    ]
    assert "orders/tests.py" in changed(tree) and "tasks.py" not in changed(tree)


@pytest.mark.parametrize(
    "name, message",
    [
        ("", "not a valid"),
        ("../orders", "not a valid"),
        ("1st", "not a valid"),
        ("class", "word of Python"),
        ("urls", "has a module urls"),
        ("templates", "File exists"),
        ("auth", "installed app"),
        ("json", "conflicts"),
    ],
)
def test_names_that_cannot_be(tree, name, message):
    """An invalid name gives one line and changes nothing."""
    done = tree.make("app", f"NAME={name}")
    line, *rest = done.stderr.splitlines()
    assert done.returncode and line.startswith("CommandError: ") and message in line and len(rest) == 1, done.stderr
    assert not changed(tree)


def test_a_full_disk_changes_nothing(tree):
    """If the app cannot be written, one line reports it; if a list cannot, the line to add is printed."""
    words = [tree.folder / "ve/bin/python", "manage.py", "startapp", "orders"]
    done = run(["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *words], cwd=tree.folder, env=tree.env)
    assert done.returncode and done.stderr.count("\n") == 1 and done.stderr.endswith("; nothing has changed\n")
    assert not changed(tree)
    (tree.folder / f"{URLS}.new").mkdir()
    assert "add to project/urls.py by hand" in tree.make("app", "NAME=orders").stdout and URLS not in changed(tree)
