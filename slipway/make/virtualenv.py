"""Install what FILEs pin: `virtualenv SENTINEL FILE…`. SENTINEL, written last, names its FILEs. Needs Python 3.9."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pkgutil
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from slipway.make import packaged, uv
from slipway.make.python import lacks
from slipway.make.waiting import still

OF_PACKAGE = "var/pins/uv.txt"  # where ve.mk looks for uv's pins if the project has none


def main(args: list[str], env: Mapping[str, str]) -> None:
    sentinel, files = Path(args[0]), args[1:]
    if lack := lacks(env["PYTHON"], env["PYTHON_MIN"]):
        sys.exit(f"make: {lack}")
    with lock(sentinel.parent):
        # All is installed, perhaps by another make while this one waited for the lock.
        if (
            sentinel.exists()
            and is_whole(sentinel.parent, env)
            and all(os.stat(file).st_mtime_ns <= sentinel.stat().st_mtime_ns for file in files)
        ):
            sentinel.touch()
        else:
            install(sentinel, files, env)


@contextlib.contextmanager
def lock(ve: Path) -> Iterator[None]:
    """Lock the virtualenv. Installers inherit the lock, and keep it if make is killed. Exit with one line if a file
    cannot be written."""
    try:
        ve.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{ve}.lock", "w") as file:
            os.set_inheritable(file.fileno(), True)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("make: waiting for another make, which is installing", file=sys.stderr)
                with still("waiting for another make"):
                    fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        sys.exit(
            f"make: {error.filename or ve}: {error.strerror}: free some space, or make it writable, or run make "
            "VE=/a/folder/of/yours"
        )


def is_whole(ve: Path, env: Mapping[str, str]) -> bool:
    """Return True if the virtualenv is of this Python and folder, and no install into it was interrupted."""
    made = ve / "made-for"
    return (
        os.access(ve / "bin/python", os.X_OK)
        and made.exists()
        and made.read_text() == env["MADE_FOR"]
        and not (ve / "unfinished").exists()
    )


def install(sentinel: Path, files: list[str], env: Mapping[str, str]) -> None:
    """Install `files` and, so that theirs stay, those of the other sentinels. Begin with a new virtualenv if this one
    is not whole, and for pip, which removes nothing."""
    ve, unfinished = sentinel.parent, sentinel.parent / "unfinished"
    if not is_whole(ve, env) or (env["INSTALLER"] == "pip" and sentinel.exists()):
        create(ve, env)
    sentinel.unlink(missing_ok=True)
    if own := files if sentinel.name == "sentinel" else files[1:]:
        print("make: installing", *own, file=sys.stderr, flush=True)
    others = [file for other in sorted(ve.glob("sentinel*")) for file in other.read_text().split()]
    all_files = [file for file in dict.fromkeys([*others, *files]) if os.path.exists(file)]
    command = installer(ve, all_files, env) if files else ["true"]  # a project without Django may pin nothing
    strategy = uv.ANY_INDEX if "--require-hashes" in command else {}  # hashes protect packages, whatever their index
    before = packages(ve)
    unfinished.write_text(" ".join(files))
    with still(" ".join(["installing", *own])):
        cause = uv.run(command, ve, {**strategy, **env})
    if cause:
        if packages(ve) == before:  # nothing was installed, so the virtualenv is still good
            unfinished.unlink()
        sys.exit(f"make: {files[-1]} is not installed: {cause}")
    unfinished.rename(sentinel)  # its time is that before the install, during which files may change


def packages(ve: Path) -> set[Path]:
    return set(ve.glob("lib/python*/site-packages/*"))


def create(ve: Path, env: Mapping[str, str]) -> None:
    """Make an empty virtualenv. Its `pip` installs nothing, as the next make would remove that."""
    if ve.exists() and not (ve / "pyvenv.cfg").exists() and any(ve.iterdir()):
        sys.exit(f"make: {ve} exists and is not a virtualenv: move it, or run make VE=another-name")
    # Use the interpreter itself, not a link to it: if an upgrade removes it, bin/python fails, and ve.mk notices that.
    python = os.path.realpath(sys.executable)
    empty(ve)
    if cause := uv.run([python, "-m", "venv", "--without-pip", str(ve)], ve, env):
        sys.exit(f"make: {env['PYTHON']} could not make a virtualenv: {cause}")
    [folder] = ve.glob("lib/python*/site-packages")
    for path in (folder / "pip.py", ve / "bin/pip", ve / "bin/pip3"):
        path.write_bytes(pkgutil.get_data("slipway.make", "no_pip.py") or b"")
        path.chmod(0o755)
    (ve / "made-for").write_text(env["MADE_FOR"])


def empty(ve: Path) -> None:
    """Remove all but pyvenv.cfg from the virtualenv, which may not exist. By this file one that is interrupted here, or
    before it is made again, is still known as a virtualenv."""
    ve.mkdir(exist_ok=True)
    (ve / "pyvenv.cfg").touch()
    (ve / "made-for").unlink(missing_ok=True)
    for path in [*ve.iterdir()]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "pyvenv.cfg":
            path.unlink()


def installer(ve: Path, files: Iterable[str], env: Mapping[str, str]) -> list[str]:
    """Return the command that installs what `files` pin: uv's, which also removes all else, or pip's. If one package
    has a hash, every package needs a hash, and none needs a package that the files do not name."""
    words = shlex.split(env["PIP_ARGS"])
    with_hashes = any(b"--hash=" in Path(path).read_bytes() for path in files)
    if with_hashes:
        words.insert(0, "--require-hashes")
    if env["INSTALLER"] == "pip" or not (path := uv_path(env)):
        return [*pip(ve), *words, *(f"--requirement={file}" for file in files)]
    options = ["--quiet", "--python", str(ve / "bin/python"), *words]
    if with_hashes:
        return [path, "pip", "sync", "--allow-empty-requirements", *options, *files]
    return [path, "pip", "install", "--exact", *options, *(f"--requirement={file}" for file in files)]


def uv_path(env: Mapping[str, str]) -> str:
    """Return uv's path: INSTALLER, the one that runs this (UV) or is on the path, or the pinned one, which pip installs
    into a virtualenv of its own. Return "" if none is pinned."""
    if env["INSTALLER"] not in ("uv", "pip"):
        return os.path.abspath(env["INSTALLER"])
    path, pins = env.get("UV") or shutil.which("uv") or "", env["REQUIREMENTS_UV"]
    if not path and pins == OF_PACKAGE:
        packaged.main("requirements/uv.txt", pins)
    if path or not os.path.exists(pins):
        return path
    if not os.path.exists("var/uv/sentinel"):
        soon = {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "5"}  # report a missing network soon
        main(["var/uv/sentinel", pins], {**env, "INSTALLER": "pip", **soon})
    return os.path.abspath("var/uv/bin/uv")


def pip(ve: Path) -> list[str]:
    """Return the command of this Python's pip or, if it has none, of one that this installs into the virtualenv."""
    python = str(ve / "bin/python")
    if find_spec("pip") and sys.prefix == sys.base_prefix:  # in a virtualenv it may be the one that installs nothing
        return [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run([python, "-m", "ensurepip"], stdout=subprocess.DEVNULL, close_fds=False, check=False)
    return [python, "-m", "pip", "install", "--quiet"]


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
