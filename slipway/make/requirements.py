"""Compile pins: `requirements [--upgrade] REQUIREMENTS MORE…`, each file.txt from its file.in; versions stay.

MORE are constrained by REQUIREMENTS. uv compiles; it omits the lines of indexes, which this copies.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import List, Mapping

from slipway.make import uv, virtualenv
from slipway.make.package import NAME
from slipway.make.pins import ours_alone

INDEX = re.compile(r"\s*(--extra-index-url|--index-url|-i|--find-links)[\s=]")
PASSWORD = re.compile(r"://[^/\s]*@")
# Allowed before the @ of a URL: ${NAME}, ${A}:${B}, and git's ssh user.
ALLOWED = re.compile(r"://(git|\$\{\w+\}(:\$\{\w+\})?)@[^@\s]*$")


def main(words: List[str], env: Mapping[str, str]) -> None:
    upgrade, pins = [word for word in words if word == "--upgrade"], [word for word in words if word != "--upgrade"]
    sources = {path: Path(path).with_suffix(".in") for path in pins}
    if not sources[pins[0]].exists():
        sys.exit("make: no {} here: write it, with a package on each line".format(sources[pins[0]]))
    refuse_passwords(list(sources.values()))
    command = [*compiler(env), *shlex.split(env["COMPILE"]), *upgrade]
    for path, source in sources.items():
        constraint = [] if path == pins[0] else ["-c", pins[0]]
        compile_pins([*command, *constraint, "-o", path, str(source)], env)
        keep_indexes(source, Path(path))


def refuse_passwords(sources: List[Path]) -> None:
    found = ["{} line {}".format(path, number) for path in sources
             for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
             if PASSWORD.search(line) and not ALLOWED.search(line.rstrip())]
    if found:
        sys.exit("make: {} has a password: write ${{NAME}} instead, and set NAME in the environment".format(
            " ".join(found)))


def compiler(env: Mapping[str, str]) -> List[str]:
    """Return the path of uv. If there is no virtualenv to install it, make an empty one."""
    ve = Path(env["VE"])
    with virtualenv.lock(ve):
        if not (ve / "bin/python").exists():
            virtualenv.create(ve, env)
        path, failed = uv.find(ve, env)
    if failed.returncode:
        sys.exit("make: to compile the pins, make needs uv, but cannot install {0}: {1}; copy {0} from the template, "
                 "or add uv to that file".format(uv.pins(env), uv.why(failed.stdout)))
    return [path]


def compile_pins(command: List[str], env: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(command, env=uv.settings(env), stderr=subprocess.PIPE)
    except OSError as error:
        sys.exit(f"make: {command[0]}: {error.strerror}")
    sys.stderr.write(done.stderr.decode(errors="replace"))
    # uv's error suggests a change of requires-python, but here PYTHON_MIN sets the version.
    if newer := re.search(rb"does not satisfy Python>=([0-9.]+)", done.stderr):
        sys.exit("make: a package needs Python {0} or newer: write PYTHON_MIN = {0} into the Makefile, or require an "
                 "older version of the package".format(newer.group(1).decode()))
    if done.returncode:
        sys.exit(done.returncode)


def keep_indexes(source: Path, pins: Path) -> None:
    lines = "".join(line for line in source.read_text("utf-8").splitlines(keepends=True) if INDEX.match(line))
    text = pins.read_text("utf-8")
    for wheel in Path("vendor").glob(f"{NAME}-*.whl"):
        text = ours_alone(text, wheel)
    pins.write_text(lines + text.removeprefix(lines), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
