"""Make the virtualenv for ve.mk: `virtualenv SENTINEL REQUIREMENTS...`. `virtualenv uv ...` runs uv.

The file SENTINEL marks a complete install. It contains Python's name, the folder and the pins. This program
removes it before the install and writes it afterwards.

This runs in the user's own Python, which may be too old for the project. Use only old syntax and the standard library.
"""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, Mapping, Sequence, Set

from slipway.make.install import Problem, find_uv, install, names_uv, pip_wheel, run, say, uv_settings, why

CURES = {errno.ENOSPC: "free some space, then run make again", errno.ENOENT: "check the path"}


NO_PIP = '''import sys

if __name__ == "__main__":
    wanted = " ".join(word for word in sys.argv[2:] if not word.startswith("-")) or "what you need"
    sys.exit("pip: make installs only pinned packages here: add {} to requirements.in, then make requirements, "
             "then repeat your make command".format(wanted))
raise ImportError("there is no pip in this virtualenv, see docs/make.md")
'''


def main(args: List[str], env: Mapping[str, str] = os.environ) -> None:
    try:
        check_python(env["PYTHON"], env["PYTHON_MIN"])
        if args[0] == "uv":
            run_uv(args, Path(env["VE"]), env)
        sentinel, requirements = Path(args[0]), [Path(arg) for arg in args[1:]]
        with lock(sentinel.parent):
            if not holds(sentinel, requirements, env):
                make(sentinel, requirements, env)
    except Problem as problem:
        sys.exit("make: {}".format(problem))
    except OSError as error:
        sys.exit("make: {}: {}: {}".format(error.filename or env["VE"], error.strerror, cure(error)))
    except KeyboardInterrupt:
        sys.exit(130)


def cure(error: OSError) -> str:
    if error.errno == errno.ENOENT and str(error.filename).endswith(".txt"):
        return "list the packages in {}.in, then run make requirements".format(str(error.filename)[:-4])
    return CURES.get(error.errno or 0, "make the folder writable, or run make VE=/a/folder/of/yours")


def check_python(python: str, least: str) -> None:
    """Raise Problem if this Python is older than `least` (such as "3.11") or lacks the module venv."""
    if sys.version_info < tuple(int(part) for part in least.split(".")):
        names = ["python3.{}".format(minor) for minor in range(16, int(least.split(".")[1]) - 1, -1)]
        found = [name for name in names if run([name, "-V"]).returncode == 0]
        raise Problem("{} is Python {}, and this project needs {} or newer: {}".format(
            python, sys.version.split()[0], least,
            "run make PYTHON={}".format(found[0]) if found else "install one, then run make PYTHON=python" + least))
    if not pip_wheel():
        raise Problem("{0} lacks the venv module: apt install python{1}.{2}-venv (or python3-venv), "
                      "then run make again".format(python, *sys.version_info))


@contextlib.contextmanager
def lock(ve: Path) -> Iterator[None]:
    """Lock the virtualenv. Installers inherit the lock, and keep it if make is killed."""
    with open(str(ve) + ".lock", "w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another make, which is installing")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def holds(sentinel: Path, requirements: Sequence[Path], env: Mapping[str, str]) -> bool:
    """Return True if `sentinel` marks a complete install. The variable `holds` in ve.mk checks the same."""
    content = wanted(sentinel.parent, requirements, env)
    with contextlib.suppress(OSError):
        return os.access(str(sentinel.parent / "bin/python"), os.X_OK) and sentinel.read_bytes() == content
    return False


def wanted(ve: Path, requirements: Sequence[Path], env: Mapping[str, str]) -> bytes:
    """Return the text that marks a complete install. The variable `wanted` in ve.mk must write the same text."""
    head = os.fsencode("{}\n{}\n".format(env["PYTHON"], os.path.realpath(str(ve))))
    return head + b"".join(path.read_bytes() for path in requirements)


def make(sentinel: Path, requirements: Sequence[Path], env: Mapping[str, str]) -> None:
    """Install the packages of the first file if they are missing, then the packages of the other files.

    If pins changed or an install was interrupted, begin with a new virtualenv, so that no old package stays.
    """
    first = sentinel.parent / "sentinel"
    if sentinel.exists() or (first.parent / "unfinished").exists() or not holds(first, requirements[:1], env):
        create(first.parent)
        add(first, requirements[:1], env)
    if sentinel != first:
        add(sentinel, requirements, env)


def create(ve: Path) -> None:
    clear(ve)
    # Use the interpreter itself, not a link to it: if an upgrade removes it, bin/python fails, and ve.mk notices that.
    python = os.path.realpath(sys.executable)
    done = run([python, "-m", "venv", "--without-pip", str(ve)])
    if done.returncode:
        raise Problem("{} could not make a virtualenv: {}".format(python, why(done.stdout)))
    explain_pip(ve)


def explain_pip(ve: Path) -> None:
    """Write a program `pip` that installs nothing, as the next change of pins would remove the packages. Without this
    program, an activated shell would run another Python's pip. A pinned pip replaces this program."""
    for packages in ve.glob("lib/python*/site-packages"):
        (packages / "pip.py").write_text(NO_PIP)
    for name in ("pip", "pip3"):
        (ve / "bin" / name).write_text('#!/bin/sh\nexec "${0%/*}/python" -m pip "$@"\n')
        (ve / "bin" / name).chmod(0o755)


def clear(ve: Path) -> None:
    """Empty the folder, sentinels first, but keep pyvenv.cfg. If make is killed, the next make still sees a virtualenv.
    Raise Problem if the folder has files but no pyvenv.cfg."""
    mark = ve / "pyvenv.cfg"
    if ve.exists() and not mark.exists() and any(ve.iterdir()):
        raise Problem("{} exists and is not a virtualenv: move it, or run make VE=another-name".format(ve))
    ve.mkdir(parents=True, exist_ok=True)
    mark.touch()
    for path in sorted(set(ve.iterdir()) - {mark}, key=lambda path: not path.name.startswith("sentinel")):
        shutil.rmtree(str(path)) if path.is_dir() and not path.is_symlink() else path.unlink()


def add(sentinel: Path, requirements: Sequence[Path], env: Mapping[str, str]) -> None:
    """Install the first file's packages if `sentinel` is ve/sentinel, else the other files'. Then write `sentinel`."""
    ve, files = sentinel.parent, requirements if sentinel.name == "sentinel" else requirements[1:]
    content = wanted(ve, requirements, env)  # read it now, as the files may be edited during the install
    before, unfinished = packages(ve), ve / "unfinished"
    unfinished.touch()  # if this stays, the next make begins with a new virtualenv
    try:
        if files:  # requirements/dev.txt may be missing
            say("installing {}".format(" ".join(map(str, files))))
            install(ve, files, env)
    except Problem:
        if packages(ve) == before:  # nothing was installed, so the virtualenv is still good
            unfinished.unlink()
        raise
    sentinel.write_bytes(content)
    unfinished.unlink()


def packages(ve: Path) -> Set[Path]:
    return set(ve.glob("lib/python*/site-packages/*"))


def run_uv(args: List[str], ve: Path, env: Mapping[str, str]) -> None:
    """Run uv and exit with its code. If there is no virtualenv, make an empty one first."""
    with lock(ve):
        if not (ve / "bin/python").exists():
            create(ve)
        uv, failed = find_uv(ve, env)
    if failed:
        raise Problem("to compile the pins, make needs uv, but cannot install {0}: {1}; copy {0} from the template, or "
                      "add uv to that file".format(names_uv(env), why(failed.stdout)))
    done = subprocess.run([uv] + args[1:], env=dict(uv_settings(env), **env), stderr=subprocess.PIPE)
    sys.stderr.write(done.stderr.decode(errors="replace"))
    # uv's error suggests a change of requires-python, but here PYTHON_MIN sets the version.
    newer = re.search(rb"does not satisfy Python>=([0-9.]+)", done.stderr)
    if newer:
        raise Problem("a package needs Python {0} or newer: write PYTHON_MIN = {0} into the Makefile, or require an "
                      "older version of the package".format(newer.group(1).decode()))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
