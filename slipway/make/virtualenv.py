"""Install what FILEs pin, for ve.mk: `virtualenv SENTINEL FILE…`. The file SENTINEL, written last, names its FILEs.

The user's own Python runs this, perhaps one too old for the project: use only old syntax and the standard library.
"""

import contextlib
import fcntl
import os
import pkgutil
import shutil
import sys
from pathlib import Path
from typing import Iterator, List, Mapping, Set

from slipway.make import uv
from slipway.make.python import lacks
from slipway.make.uv import Problem


def main(args: List[str], env: Mapping[str, str]) -> None:
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
        lack = lacks(env["PYTHON"], env["PYTHON_MIN"])
        if lack:
            raise Problem(": ".join(lack))
        yield
    except Problem as problem:
        sys.exit("make: {}".format(problem))
    except OSError as error:
        sys.exit("make: {}: {}: free some space, or make it writable, or run make VE=/a/folder/of/yours".format(
            error.filename or ve, error.strerror))
    except KeyboardInterrupt:
        sys.exit(130)


@contextlib.contextmanager
def lock(ve: Path) -> Iterator[None]:
    """Lock the virtualenv. Installers inherit the lock, and keep it if make is killed."""
    ve.parent.mkdir(parents=True, exist_ok=True)
    with open(str(ve) + ".lock", "w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            uv.say("waiting for another make, which is installing")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_made_for(ve: Path, env: Mapping[str, str]) -> bool:
    made = ve / "made-for"
    return os.access(str(ve / "bin/python"), os.X_OK) and made.exists() and made.read_text() == env["MADE_FOR"]


def holds(sentinel: Path, files: List[str], env: Mapping[str, str]) -> bool:
    """Return True if all is installed, perhaps by another make while this one waited for the lock."""
    return sentinel.exists() and is_made_for(sentinel.parent, env) and all(
        os.stat(file).st_mtime_ns <= sentinel.stat().st_mtime_ns for file in files)


def make(sentinel: Path, files: List[str], env: Mapping[str, str]) -> None:
    """Install `files` and, so that theirs stay, those of the other sentinels. Begin with a new virtualenv if an install
    was interrupted, for another Python or folder, and for pip, which removes nothing."""
    ve, unfinished = sentinel.parent, sentinel.parent / "unfinished"
    if unfinished.exists() or not is_made_for(ve, env) or env["INSTALLER"] == "pip" and sentinel.exists():
        create(ve, env)
    with contextlib.suppress(FileNotFoundError):
        sentinel.unlink()
    others = [file for other in sorted(ve.glob("sentinel*")) for file in other.read_text().split()]
    own, before = files[sentinel.name != "sentinel":], packages(ve)
    unfinished.write_text(" ".join(files))
    try:
        if own:
            uv.say("installing " + " ".join(own))
        if files:  # a project without Django may have none
            uv.install(ve, [file for file in dict.fromkeys([*others, *files]) if os.path.exists(file)], env)
    except Problem:
        if packages(ve) == before:  # nothing was installed, so the virtualenv is still good
            unfinished.unlink()
        raise
    os.replace(str(unfinished), str(sentinel))  # its time is that before the install, during which files may change


def packages(ve: Path) -> Set[Path]:
    return set(ve.glob("lib/python*/site-packages/*"))


def create(ve: Path, env: Mapping[str, str]) -> None:
    """Make an empty virtualenv. Its `pip` installs nothing, as the next make would remove that; a pinned pip does."""
    # Use the interpreter itself, not a link to it: if an upgrade removes it, bin/python fails, and ve.mk notices that.
    python = os.path.realpath(sys.executable)  # before `clear`, as an activated virtualenv's python is a link in it
    clear(ve)
    done = uv.run([python, "-m", "venv", "--without-pip", str(ve)])
    if done.returncode:
        raise Problem("{} could not make a virtualenv: {}".format(env["PYTHON"], uv.why(done.stdout)))
    for folder in ve.glob("lib/python*/site-packages"):
        (folder / "pip.py").write_bytes(pkgutil.get_data("slipway.make", "no_pip.py") or b"")
    for name in ("pip", "pip3"):
        (ve / "bin" / name).write_text('#!/bin/sh\nexec "${0%/*}/python" -m pip "$@"\n')
        (ve / "bin" / name).chmod(0o755)
    (ve / "made-for").write_text(env["MADE_FOR"])


def uv_path(env: Mapping[str, str]) -> str:
    """Return uv's absolute path. Make an empty virtualenv for it if there is none. Exit if it cannot be installed."""
    ve = Path(env["VE"])
    with explained(ve, env), lock(ve):
        if not uv.there(ve, env) and not (ve / "bin/python").exists():
            create(ve, env)
        path, failed = uv.find(ve, env)
        if failed.returncode:
            raise Problem("make needs uv here, but cannot install {0}: {1}; copy {0} from the template, or add uv to "
                          "that file".format(uv.pins(env), uv.why(failed.stdout)))
    return os.path.abspath(path) if os.sep in path else path


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


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
