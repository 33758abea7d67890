"""Tests that a project's files name only the modules that docs/design.md lists, and that the top floor is this list."""

import re

from proc import ROOT, output

[ROW] = re.findall(r"^\| `slipway/\*\.py` \| (.*) \|$", (ROOT / "docs/design.md").read_text(), re.MULTILINE)
MODULES, FOLDERS = ({*re.findall(r"`(\w+)`", part)} for part in ROW.split("; in rooms "))
OF_DJANGO = {"__init__", "__main__", "apps", "models"}  # Python or Django ask for these
NAMED = re.compile(r"\bslipway\.([a-z_]+)|from slipway import ([a-z_, ]+)")
PROJECT = [
    "project",
    "manage.py",
    "Dockerfile",
    "docker-run.sh",
    "compose.yaml",
    "slipway/adopt/settings.py-tpl",
    "slipway/management/app",
]


def test_the_top_floor_is_what_projects_import():
    assert {path.stem for path in (ROOT / "slipway").glob("*.py")} - OF_DJANGO == MODULES


def test_a_project_imports_only_what_is_listed():
    files = output(["git", "ls-files", *PROJECT], cwd=ROOT).split()
    found = [
        match
        for path in files
        if (ROOT / path).suffix not in (".svg", ".png")
        for match in NAMED.findall((ROOT / path).read_text())
    ]
    named = {name for one, more in found for name in [one, *more.split(", ")] if name}
    assert named <= MODULES | FOLDERS and MODULES - named == {"tasks"}  # beat names this one in the database
