"""Put this clone's package into the project in the working folder: build its wheel into vendor/, remove older ones
there, and name it in requirements.in. copier runs this at the end of an update. `wheel package` is make package.
"""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from slipway.make import virtualenv
from slipway.make.uv import ANY_INDEX, settings

NAME = "slipway_django"
LINE = re.compile(rf"^\./vendor/{NAME}-[^\s\[]+(?:\[([\w,-]*)\])?", re.MULTILINE)
BROUGHT = {"csp": "csp|django>=6", "psycopg2": "psycopg"}  # extra → what a project may have instead
ATTRIBUTES = "*.whl binary -filter -ident\n"  # a team's own .gitattributes, such as `* text eol=lf`, would damage it
CLONE = Path(__file__).absolute().parents[2]
# What ve.mk gives to its commands, for who runs this without make.
DEFAULTS = {
    "INSTALLER": "uv",
    "PIP_ARGS": "",
    "PYTHON": sys.executable,
    "PYTHON_MIN": "3.11",
    "MADE_FOR": f"{CLONE}/ve {sys.executable}",
    "REQUIREMENTS_UV": "slipway/requirements/uv.txt",
}


def main(clone: Path) -> None:
    folder, requirements = Path("vendor"), Path("requirements.in")
    old = {*folder.glob(f"{NAME}-*.whl")}
    build(clone, folder)
    [wheel] = {*folder.glob(f"{NAME}-*.whl")} - old or old
    for path in old - {wheel}:
        path.unlink()
    if not (folder / ".gitattributes").exists():
        (folder / ".gitattributes").write_text(ATTRIBUTES)
    if requirements.exists():
        requirements.write_text(named(requirements.read_text("utf-8"), f"./{wheel}"), "utf-8")


def named(text: str, wheel: str, *extras: str) -> str:
    """Replace the package's path in the requirements `text`. Its extras stay; those that the package once brought by
    itself are added, unless `text` has something instead."""
    missing = [
        extra for extra, instead in BROUGHT.items() if not re.search(rf"^[^#\n]*({instead})", text, re.MULTILINE)
    ]

    def line(match: re.Match[str]) -> str:
        all_extras = ",".join(sorted({*(match[1] or "").split(","), *extras, *missing} - {""}))
        return f"{wheel}[{all_extras}]" if all_extras else wheel

    return LINE.sub(line, text)


def build(clone: Path, folder: Path) -> None:
    """Build the clone's wheel. Exit with uv's output if that fails."""
    command = [
        uv(clone),
        "build",
        "--quiet",
        "--wheel",
        "--no-create-gitignore",
        "--python",
        sys.executable,
        "--out-dir",
        str(folder),
        str(clone),
    ]
    # Mirrors may have a part of the packages each, and no private package can be confused with one of these.
    env = {**ANY_INDEX, **settings(os.environ)}
    done = subprocess.run(command, env=env, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}make: cannot build the package of {clone}, see above")


def uv(clone: Path) -> str:
    """Return the path of uv: the one that runs this or is on the path, or the pinned one in the clone's var/uv."""
    with contextlib.chdir(clone):
        path = virtualenv.uv_path({**DEFAULTS, **os.environ})
    return path or sys.exit("make: no uv on the path, and no pins of it in the clone: install uv")


if __name__ == "__main__":
    if sys.argv[1:] == ["package"]:
        build(Path(), Path("var/package"))
    else:
        main(CLONE)
