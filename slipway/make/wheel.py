"""Put this clone's package into the project in the working folder: build its wheel into vendor/, remove older ones
there, and name it where they were named. copier runs this at the end of an update. `wheel package` is make package.
"""

import contextlib
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from slipway.make import virtualenv
from slipway.make.uv import ANY_INDEX, settings

NAME = "slipway_django"
PATH = re.compile(rf"vendor/{NAME}-[^\s\[\"']+\.whl")
LISTS = ("pyproject.toml", "requirements*.in", "requirements*.txt", "requirements/*.in", "requirements/*.txt")
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
    folder = Path("vendor")
    old = {*folder.glob(f"{NAME}-*.whl")}
    build(clone, folder)
    [wheel] = {*folder.glob(f"{NAME}-*.whl")} - old or old
    for path in old - {wheel}:
        path.unlink()
    if not (folder / ".gitattributes").exists():
        (folder / ".gitattributes").write_text(ATTRIBUTES)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for path in (path for pattern in LISTS for path in Path().glob(pattern)):
        text = path.read_text("utf-8", errors="surrogateescape")
        path.write_text(named(text, str(wheel), digest), "utf-8", errors="surrogateescape")


def named(text: str, wheel: str, digest: str) -> str:
    """Replace the package's path in a list of packages, and its hash, which a list with hashes has in the next line."""
    text = re.sub(rf"({PATH.pattern}\S* *\\\n *--hash=sha256:)\w+", rf"\g<1>{digest}", text)
    return PATH.sub(wheel, text)


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
