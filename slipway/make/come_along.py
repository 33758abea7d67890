"""Update an old project: replace its copies of Slipway's code by the package in vendor/.

vendor.py calls this. Then update.py lists the copies that the team had changed.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from slipway.make import package, pins

COPIES = ("slipway", "make", "docs", "update.mk")  # paths of Slipway's code in an old project
SETTINGS = ("settings.py", "settings_docker.py", "settings_test.py")
# Lines by which the team's old settings loaded the template's settings.
LOADED = r"^from slipway\.settings\.shared import .*\n|^    \*INSTALLED_APPS,\n"
# file → [(pattern, replacement)]
LINES = {
    "Makefile": [(r" (?:update|make/template)\.mk\b", "")],
    ".mypy.ini": [(r"^files = slipway, ", "files = ")],
    ".dockerignore": [(r"^!make/.*\n", ""), (r"^!requirements\.txt$", "!vendor\n!requirements.txt")],
    ".flake8": [(r"\Z", "per-file-ignores =\n    project/settings*.py: E402,F401,F403,F405\n")],
}


def main(template: Path, before: str, wheel: Path) -> None:
    """Update the working folder. `template`: a clone of the new release; `before`: the template's old commit."""
    procfile = Path("make/Procfile.dev")
    if procfile.exists():
        procfile.rename("Procfile.dev")
    for path in package.git(template, "ls-tree", "-r", "--name-only", before, *COPIES).splitlines():
        Path(path).unlink(missing_ok=True)
    settings(template, before)
    for name, changes in LINES.items():
        for pattern, text in changes:
            edit(Path(name), pattern, text)
    manage = (template / "manage.py").read_text("utf-8")
    found = re.search(r'main\("(\w+)"\)', Path("manage.py").read_text("utf-8"))
    Path("manage.py").write_text(manage.replace('main("project")', found[0] if found else 'main("project")'), "utf-8")
    pin(wheel)


def settings(template: Path, before: str) -> None:
    """Write complete settings files: the template's text with the team's changes."""
    shared = Path("project/settings_shared.py")
    old = package.git(template, "show", f"{before}:{shared}") + "\n"
    ours, old = (re.sub(LOADED, "", text, flags=re.MULTILINE) for text in (shared.read_text("utf-8"), old))
    new = (template / "project/settings_base.py").read_text("utf-8")
    Path("project/settings_base.py").write_text(merged(ours, old, new), "utf-8")
    shared.unlink()
    for name in SETTINGS:
        path = Path("project", name)
        own = re.split(r"^globals\(\)\.update\(load\(.*\n", path.read_text("utf-8"), flags=re.MULTILINE)[-1]
        path.write_text((template / path).read_text("utf-8") + own, "utf-8")


def merged(ours: str, old: str, new: str) -> str:
    """Return `new` with the changes that turned `old` into `ours`. If both sides changed a line, keep both versions."""
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder, name) for name in ("ours", "old", "new")]
        for name, text in zip(names, (ours, old, new)):
            name.write_text(text, "utf-8")
        return subprocess.run(["git", "merge-file", "-p", "--union", *names], stdout=subprocess.PIPE, text=True,
                              check=True).stdout


def edit(path: Path, pattern: str, text: str) -> None:
    if path.exists():
        path.write_text(re.sub(pattern, text, path.read_text("utf-8"), flags=re.MULTILINE), "utf-8")


def pin(wheel: Path) -> None:
    """In requirements.in, replace slipway-django's requirements, except django, by slipway-django. Write the pin."""
    brought = {re.split(r"[<>=\[]", name)[0] for name in package.required(wheel, True)} - {"django"}
    lines = pins.WANTED.read_text("utf-8").splitlines(keepends=True)
    own = [line for line in lines if re.split(r"[<>=\[\s]", line)[0] not in brought and not line.startswith("#")]
    pins.write(wheel, True, "".join(own).rstrip("\n"), pins.PINNED.read_text("utf-8"))
