"""Install what FILEs pin, for ve.mk: `virtualenv SENTINEL FILE…`. The file SENTINEL, written last, names its FILEs.
Needs Python 3.9."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from slipway.make import uv
from slipway.make.python import lacks
from slipway.make.uv import Problem


def main(args: list[str], env: Mapping[str, str]) -> None:
    sentinel, files = Path(args[0]), args[1:]
    with explained(sentinel.parent, env), lock(sentinel.parent):
        if holds(sentinel, files, env):
            sentinel.touch()
        else:
            make(sentinel, files, env)


@contextlib.contextmanager
def explained(ve: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Exit with one line if this Python lacks something, or if the work on `ve` fails."""
    try:
        if lack := lacks(env["PYTHON"], env["PYTHON_MIN"]):
            raise Problem(lack)
        yield
    except Problem as problem:
        sys.exit(f"make: {problem}")
    except OSError as error:
        sys.exit(f"make: {error.filename or ve}: {error.strerror}: free some space, or make it writable, or run make "
                 "VE=/a/folder/of/yours")


@contextlib.contextmanager
def lock(ve: Path) -> Iterator[None]:
    """Lock the virtualenv. Installers inherit the lock, and keep it if make is killed."""
    ve.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{ve}.lock", "w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            uv.say("waiting for another make, which is installing")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_made_for(ve: Path, env: Mapping[str, str]) -> bool:
    made = ve / "made-for"
    return os.access(ve / "bin/python", os.X_OK) and made.exists() and made.read_text() == env["MADE_FOR"]


def holds(sentinel: Path, files: list[str], env: Mapping[str, str]) -> bool:
    """Return True if all is installed, perhaps by another make while this one waited for the lock."""
    return sentinel.exists() and is_made_for(sentinel.parent, env) and all(
        os.stat(file).st_mtime_ns <= sentinel.stat().st_mtime_ns for file in files)


def make(sentinel: Path, files: list[str], env: Mapping[str, str]) -> None:
    """Install `files` and, so that theirs stay, those of the other sentinels. Begin with a new virtualenv if an install
    was interrupted, for another Python or folder, and for pip, which removes nothing."""
    ve, unfinished = sentinel.parent, sentinel.parent / "unfinished"
    if unfinished.exists() or not is_made_for(ve, env) or env["INSTALLER"] == "pip" and sentinel.exists():
        create(ve, env)
    sentinel.unlink(missing_ok=True)
    if own := files[sentinel.name != "sentinel":]:
        uv.say("installing " + " ".join(own))
    others = [file for other in sorted(ve.glob("sentinel*")) for file in other.read_text().split()]
    wanted = [file for file in dict.fromkeys([*others, *files]) if os.path.exists(file)]
    command, before = uv.installer(ve, wanted, env) if files else [], packages(ve)
    unfinished.write_text(" ".join(files))
    try:
        if command:  # a project without Django may pin nothing
            uv.run(command, ve, files[-1], env)
    except Problem:
        if packages(ve) == before:  # nothing was installed, so the virtualenv is still good
            unfinished.unlink()
        raise
    unfinished.rename(sentinel)  # its time is that before the install, during which files may change


def packages(ve: Path) -> set[Path]:
    return set(ve.glob("lib/python*/site-packages/*"))


def create(ve: Path, env: Mapping[str, str]) -> None:
    """Make an empty virtualenv. Its `pip` installs nothing, as the next make would remove that. Raise Problem if the
    folder is no virtualenv, but has files."""
    if ve.exists() and not (ve / "pyvenv.cfg").exists() and any(ve.iterdir()):
        raise Problem(f"{ve} exists and is not a virtualenv: move it, or run make VE=another-name")
    for sentinel in ve.glob("sentinel*"):
        sentinel.unlink()
    # Use the interpreter itself, not a link to it: if an upgrade removes it, bin/python fails, and ve.mk notices that.
    command = [os.path.realpath(sys.executable), "-m", "venv", "--clear", "--without-pip", str(ve)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Problem(f"{env['PYTHON']} could not make a virtualenv: {uv.why(done.stdout)}")
    [folder] = ve.glob("lib/python*/site-packages")
    folder.joinpath("pip.py").write_bytes(pkgutil.get_data("slipway.make", "no_pip.py") or b"")
    for name in ("pip", "pip3"):
        (ve / "bin" / name).write_text('#!/bin/sh\nexec "${0%/*}/python" -m pip "$@"\n')
        (ve / "bin" / name).chmod(0o755)
    (ve / "made-for").write_text(env["MADE_FOR"])


def uv_path(env: Mapping[str, str]) -> str:
    """Return uv's absolute path. Make an empty virtualenv for it if there is none. Exit if it cannot be installed."""
    ve = Path(env["VE"])
    with explained(ve, env), lock(ve):
        if not uv.there(ve, env) and not is_made_for(ve, env):
            create(ve, env)
        path = uv.find(ve, env)
    return os.path.abspath(path) if os.sep in path else path


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
