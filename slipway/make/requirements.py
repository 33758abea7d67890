"""Compile pins: `requirements [--upgrade] REQUIREMENTS MORE…`, each file.txt from its file.in; versions stay.

MORE are constrained by REQUIREMENTS. uv compiles; it omits the lines of indexes, which this copies.
"""

import codecs
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from slipway.make import uv, virtualenv

INDEX = re.compile(r"\s*(--extra-index-url|--index-url|-i|--find-links)[\s=]")
IN_FILE = re.compile(r"^\./\S+.*\n(?: .*\n)*", re.MULTILINE)  # a pin such as ./vendor/….whl, with hash and comments
# A password in a URL; not ${NAME}, ${A}:${B}, name:${B}, or git's ssh user, before a host.
PASSWORD = re.compile(r"://(?!(git|\$\{\w+\}|([\w.-]+|\$\{\w+\}):\$\{\w+\})@[^/@\s]*(/|\s|$))[^/\s]*@")
GIT = re.compile(r"^[^#]*\bgit\+\w+://")
EDITABLE = re.compile(r"^\s*(-e|--editable)\b")


def main(words: list[str], env: Mapping[str, str]) -> None:
    upgrade, pins = [word for word in words if word == "--upgrade"], [word for word in words if word != "--upgrade"]
    sources = {path: Path(path).with_suffix(".in") for path in pins}
    if not sources[pins[0]].exists():
        sys.exit(f"make: no {sources[pins[0]]} here: write it, with a package on each line")
    refuse(GIT, "names a git repository, which has no hash: put its wheel into vendor/ and name that", sources.values())
    refuse(
        EDITABLE,
        "names a folder to edit, which has no hash: put its wheel into vendor/ and name that",
        sources.values(),
    )
    refuse(PASSWORD, "has a password: write ${NAME} instead, and set NAME in the environment", sources.values())
    if not (program := virtualenv.uv_path(env)):
        sys.exit("make: no uv here: install it, or name its pins by REQUIREMENTS_UV")
    command = [program, *shlex.split(env["COMPILE"]), *upgrade]
    with virtualenv.lock(Path(env["VE"])), tempfile.TemporaryDirectory() as folder:
        compile_pins([*command, "-o", pins[0], str(sources[pins[0]])], env)
        keep_indexes(sources.pop(pins[0]), Path(pins[0]))
        # uv accepts no path as a constraint
        file = Path(folder, "constraints.txt")
        file.write_text(IN_FILE.sub("", Path(pins[0]).read_text("utf-8")), "utf-8")
        for path, source in sources.items():
            compile_pins([*command, "-c", str(file), "-o", path, str(source)], env)
            keep_indexes(source, Path(path))
            Path(path).write_text(Path(path).read_text("utf-8").replace(f"-c {file}", f"-c {pins[0]}"), "utf-8")


def refuse(pattern: "re.Pattern[str]", why: str, sources: Iterable[Path]) -> None:
    places = [
        f"{path} line {number}"
        for path in sources
        for number, line in enumerate(read(path).splitlines(), 1)
        if pattern.search(line.rstrip())
    ]
    if places:
        sys.exit(f"make: {' '.join(places)} {why}")


def read(path: Path) -> str:
    """Return the text of a list of packages: UTF-8 or, from PowerShell, UTF-16, as pip and uv read it."""
    try:
        return decoded(path.read_bytes())
    except UnicodeDecodeError:
        sys.exit(f"make: {path} is neither UTF-8 nor UTF-16: save it as UTF-8")


def decoded(data: bytes) -> str:
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return data.decode(encoding).replace("\r\n", "\n")


def compile_pins(command: list[str], env: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(command, env=uv.settings(env), stderr=subprocess.PIPE, check=False)
    except OSError as error:
        sys.exit(f"make: {command[0]}: {error.strerror}")
    sys.stderr.write(done.stderr.decode(errors="replace"))
    # uv's error suggests a change of requires-python, but here PYTHON_MIN sets the version.
    if newer := re.search(rb"does not satisfy Python>=([0-9.]+)", done.stderr):
        sys.exit(
            "make: a package needs Python {0} or newer: write PYTHON_MIN = {0} into the Makefile, or require an "
            "older version of the package".format(newer.group(1).decode())
        )
    if done.returncode:
        sys.exit(done.returncode)


def keep_indexes(source: Path, pins: Path) -> None:
    lines = "".join(line for line in read(source).splitlines(keepends=True) if INDEX.match(line))
    pins.write_text(lines + pins.read_text("utf-8").removeprefix(lines), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
