"""Tests of how adopt treats a project's lists of packages, and whose they stay."""

import os
import re
import sys

import pytest

from proc import UV, output, passed
from slipway.adopt.__main__ import read
from slipway.adopt.packages import find_packages, package_todo, requirement, with_packages
from slipway.make.uv import settings
from theirs import LAYERS


def test_a_list_that_powershell_has_written(tmp_path):
    (tmp_path / "list").write_bytes("django\r\n".encode("utf-16"))
    assert read(tmp_path / "list") == "django\n"


WHEEL = "./vendor/slipway_django-1-py3-none-any.whl[psycopg2]"


GROUPS = (
    "[project]\noptional-dependencies = {prod = ['gunicorn'], docs = ['furo']}\n"
    "[dependency-groups]\ndev = ['faker', {include-group = 'lint'}]\ntest = []\nlint = ['ruff']\n"
)


@pytest.mark.parametrize(
    "files, lines, texts, left",
    [
        ({}, [], {"requirements.txt": f"django\n{WHEEL}\n"}, ""),
        (
            {"requirements.txt": "django\npsycopg", "requirements-dev.txt": "pytest\n"},
            ["REQUIREMENTS_DEV = requirements-dev.txt"],
            {
                "requirements.txt": "django\npsycopg\n./vendor/slipway_django-1-py3-none-any.whl\n",
            },
            "",
        ),
        (
            {"requirements.txt": "#    pip-compile requirements.in\ndjango==5.2\n", "requirements.in": "django\n"},
            [],
            {"requirements.in": f"django\n{WHEEL}\n"},
            "",
        ),
        (
            {"requirements.txt": "django==5.2 --hash=sha256:00\n"},
            [],
            {},
            f"requirements.txt:1: it has hashes: add {WHEEL} by the program that writes it",
        ),
        (
            {"requirements.txt": "django\n", "requirements-dev.txt": "pytest==9 --hash=sha256:00\n"},
            ["REQUIREMENTS_DEV = requirements-dev.txt"],
            {"requirements.txt": f"django\n{WHEEL}\n"},
            "",
        ),
        ({"poetry.lock": "", "pyproject.toml": ""}, [], {}, f"add {WHEEL} there, then poetry export"),
        ({"pyproject.toml": "[project]\n"}, [], {}, "pyproject.toml:1: uv lock, then adopt again"),
        (
            {"pyproject.toml": "[tool.black]\n"},
            [],
            {"requirements.txt": f"django\n{WHEEL}\n"},
            "",
        ),
        (
            {"uv.lock": "", "pyproject.toml": "[project]\n"},
            [],
            {},
            f"pyproject.toml:1: uv add --no-sync '{WHEEL}'",
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
    """Each project keeps its own. A list without hashes gets a line; for others one line says what to do by their
    own tool, until it is done."""
    packages = find_packages(files, {})
    package = requirement(files, "vendor/slipway_django-1-py3-none-any.whl", False)
    assert packages.lines() == lines and with_packages(files, {}, packages, package) == texts
    items = "\n".join(package_todo(files, packages, package))
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
    passed(project.make("requirements.txt", f"PYTHON={os.path.realpath(sys.executable)}"))
    pins = (project.folder / "requirements.txt").read_text()
    assert f"\ndjango=={locked} " in pins and "./vendor/slipway_django-" in pins
    assert project.git("ls-files", "--others", "--exclude-standard", "requirements*") == ""
