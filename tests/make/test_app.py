"""Tests of make app: a complete, typed app, or one line of error. The app's tests run in celery/test_start_page.py."""

import sys
import zipfile

import pytest

from proc import ROOT, as_mortal, output, run

SETTINGS = 'X = 1\n\nINSTALLED_APPS = [\n    "project.home",\n    "shop.stock",\n    "django.contrib.admin",\n]\n'
URLS = 'from django.urls import include, path\n\nurlpatterns = [\n    path("", home),\n]\n'
PACKAGE = [ROOT / "slipway/__init__.py", *(ROOT / "slipway/lasting").glob("*.py"), *(ROOT / "slipway/make").rglob("*")]


@pytest.fixture
def tree(tmp_path):
    """Return a project with settings and urls, and with make's part of slipway in a zip, without a virtualenv."""
    folder = tmp_path / "a project"
    (folder / "project").mkdir(parents=True)
    (folder / "project/settings_base.py").write_text(SETTINGS)
    (folder / "project/urls.py").write_text(URLS)
    with zipfile.ZipFile(folder / "slipway.whl", "w") as file:
        for path in PACKAGE:
            file.write(path, path.relative_to(ROOT))
    return folder


def make_app(tree, name):
    command = [sys.executable, "-m", "slipway.make.app", "project", name]
    return run(as_mortal(command), cwd=tree, env={"PYTHONPATH": "slipway.whl"})


def content(tree):
    return {path.relative_to(tree): path.is_file() and path.read_bytes() for path in tree.rglob("*")}


def test_an_app_is_typed(project):
    """mypy --strict accepts a new app, models and admin included, with the project."""
    output(["make", "-C", project, "app", "NAME=stock_entries"])
    output([project / "ve/bin/python", "-m", "mypy", "--strict", "project/stock_entries"], cwd=project)


def test_its_lines(tree):
    """The app is listed after the project's own apps, and first in the urls. Without Celery it has no task."""
    done = make_app(tree, "orders")
    assert (done.returncode, done.stdout) == (
        0, "make: wrote project/orders; next: make migrate, then open /orders/ and the admin\n"), done.stderr
    assert (tree / "project/settings_base.py").read_text() == SETTINGS.replace(
        '    "shop', '    "project.orders",\n    "shop')
    assert (tree / "project/urls.py").read_text() == URLS.replace(
        '    path(', '    path("orders/", include("project.orders.urls")),\n    path(')
    assert "class Order(" in (tree / "project/orders/models.py").read_text()
    assert not (tree / "project/orders/tasks.py").exists()


def test_a_list_that_is_not_found(tree):
    """The app is written; each line to add is printed with its place, and those files stay."""
    for name in ("settings_base.py", "urls.py"):
        (tree / "project" / name).write_text("INSTALLED_APPS = urlpatterns = base()\n")
    before = content(tree)
    assert make_app(tree, "orders").stdout.splitlines()[1:] == [
        'make: add to INSTALLED_APPS in project/settings_base.py by hand: "project.orders",',
        "make: add to urlpatterns (and import include) in project/urls.py by hand: "
        'path("orders/", include("project.orders.urls")),']
    assert before.items() <= content(tree).items()


@pytest.mark.parametrize("name, said", [
    ("", "no NAME"), ("Orders", "use a-z"), ("../orders", "use a-z"), ("1st", "use a-z"),
    ("class", "keyword"), ("nones", "keyword"), ("urls", "has urls already"), ("docs", "has docs already"),
    ("auth", "installed app"), ("stock", "installed app"), ("json", "installed app")])
def test_names_that_cannot_be(tree, name, said):
    """An invalid name gives one line and changes nothing."""
    (tree / "project/docs").mkdir()
    before = content(tree)
    done = make_app(tree, name)
    assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert content(tree) == before


@pytest.mark.parametrize("path", ["project", "project/urls.py.new"])
def test_all_or_nothing(tree, path):
    """If a folder or file is not writable, one line reports it, and nothing has changed."""
    (tree / path).mkdir(exist_ok=True)
    (tree / path).chmod(0o555)
    before = content(tree)
    done = make_app(tree, "orders")
    assert done.returncode == 1 and done.stderr.endswith("; nothing has changed\n"), done.stderr
    assert len(done.stderr.splitlines()) == 1 and content(tree) == before
