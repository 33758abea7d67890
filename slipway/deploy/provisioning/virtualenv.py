"""The virtualenv with pyinfra. Provisioning needs it, all other commands need only Python's standard library."""

import os
import pkgutil
import sys
from importlib.util import find_spec
from pathlib import Path

import slipway
from slipway.make import packaged, virtualenv
from slipway.make.wheel import DEFAULTS

PINS = "requirements/deploy.txt"  # the team's own, or the package's
STARTED = "SLIPWAY_STARTED_AGAIN"  # variable: the process that was started again
# The virtualenv lacks the package, and gets it from where it is now, after its own packages.
AGAIN = """\
import runpy, sys
sys.path.append(sys.argv.pop(1))
runpy.run_module("slipway", run_name="__main__", alter_sys=True)
"""


def enter() -> None:
    """Start this command again in var/pyinfra, unless this Python has pyinfra. Make that virtualenv first, or install
    what its pins have that it lacks. Exit with one line if this fails."""
    if find_spec("pyinfra"):
        return
    folder = Path("var/pyinfra").absolute()
    virtualenv.main([f"{folder}/sentinel", pins()], {**DEFAULTS, **own_uv(), **os.environ, "MADE_FOR": str(folder)})
    python, package = f"{folder}/bin/python", str(Path(slipway.__file__).parents[1])
    words = [python, "-B", "-c", AGAIN, package, *sys.argv[1:]]
    os.execve(python, words, {**os.environ, STARTED: str(os.getpid())})


def was_started_again() -> bool:
    """Return True after `enter` has started this command again. Such a process keeps its id; any other, which somebody
    may have given the variable, has another."""
    return os.environ.get(STARTED) == str(os.getpid())


def own_uv() -> dict[str, str]:
    """Return where uv's pins are, in a project: the team's own, or the package's."""
    return {
        "REQUIREMENTS_UV": "requirements/uv.txt" if os.path.exists("requirements/uv.txt") else virtualenv.OF_PACKAGE
    }


def pins() -> str:
    """Return the path of pyinfra's pins. Take them from the package only if they differ, as a newer file is installed
    again."""
    if os.path.exists(PINS):
        return PINS
    path = Path("var/pins/deploy.txt")
    if not path.exists() or path.read_bytes() != pkgutil.get_data("slipway", PINS):
        packaged.main(PINS, str(path))
    return str(path)
