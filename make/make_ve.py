"""Make the virtualenv that ve.mk asks for: `python3 make/make_ve.py SENTINEL REQUIREMENTS...`.

The sentinel is removed first and written last, so a virtualenv with one is whole. It holds what it was made from
(python, folder, pins); ve.mk compares that with what is wanted, and runs this file only when they differ.
`python3 make/make_ve.py uv ...` runs the virtualenv's uv with the settings that pip has.

Runs in the user's own Python: standard library only, and no syntax newer than the oldest it has to turn away.
make_install.py is beside it.
"""

import sys

if sys.version_info < (3, 6):
    sys.exit("make: Python {}.{} is too old, run make PYTHON=python3".format(*sys.version_info))

import contextlib
import errno
import fcntl
import os
import shutil
from pathlib import Path

sys.dont_write_bytecode = True  # the checkout is no place for it
try:
    from make_install import Problem, find_uv, install, names_uv, pip_wheel, run, say, uv_settings, why
except ImportError:
    sys.exit("make: no make/make_install.py here: take it from the template, see docs/make.md")

CURES = {errno.ENOSPC: "free some space, then run make again", errno.ENOENT: "is the path right?"}


NO_PIP = '''import sys

if __name__ == "__main__":
    wanted = " ".join(word for word in sys.argv[2:] if not word.startswith("-")) or "what you need"
    sys.exit("pip: make keeps this virtualenv as the pins say: add {} to requirements.in, then make requirements, "
             "and make again what you were making".format(wanted))
raise ImportError("there is no pip in this virtualenv, see docs/make.md")
'''


def main(args, env=os.environ):
    """Run uv, or bring the virtualenv to where the sentinel holds for these files; or say in one line why not."""
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


def cure(error):
    """What to do about an OSError."""
    if error.errno == errno.ENOENT and str(error.filename).endswith(".txt"):
        return "name what it should pin in {}.in, then run make requirements".format(str(error.filename)[:-4])
    return CURES.get(error.errno, "make the folder writable, or run make VE=/a/folder/of/yours")


def check_python(python, least):
    """Raise Problem when this Python is older than `least` ("3.11") or cannot make a virtualenv."""
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
def lock(ve):
    """One make at a time. An installer inherits the lock, so that one left by a killed make still holds it."""
    with open(str(ve) + ".lock", "w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another make that is installing")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def holds(sentinel, requirements, env):
    """Whether the sentinel says that just this is installed. `holds` in ve.mk asks the same without Python."""
    content = wanted(sentinel.parent, requirements, env)
    with contextlib.suppress(OSError):
        return os.access(str(sentinel.parent / "bin/python"), os.X_OK) and sentinel.read_bytes() == content
    return False


def wanted(ve, requirements, env):
    """The content of a sentinel: `wanted` in ve.mk must write the same bytes."""
    head = os.fsencode("{}\n{}\n".format(env["PYTHON"], os.path.realpath(str(ve))))
    return head + b"".join(path.read_bytes() for path in requirements)


def make(sentinel, requirements, env):
    """Install the files of `requirements`, the first of them under ve/sentinel.

    Changed pins always mean a new virtualenv, as what they no longer name must go; only a virtualenv that holds
    the first file, and never had more, is added to.
    """
    first = sentinel.parent / "sentinel"
    if sentinel.exists() or (first.parent / "unfinished").exists() or not holds(first, requirements[:1], env):
        create(first.parent)
        add(first, requirements[:1], env)
    if sentinel != first:
        add(sentinel, requirements, env)


def create(ve):
    """An empty virtualenv, without pip: seconds faster, and make needs none there."""
    clear(ve)
    # The interpreter itself and not a link to it: an upgrade then leaves bin/python dangling, which ve.mk sees.
    python = os.path.realpath(sys.executable)
    done = run([python, "-m", "venv", "--without-pip", str(ve)])
    if done.returncode:
        raise Problem("{} made no virtualenv: {}".format(python, why(done.stdout)))
    explain_pip(ve)


def explain_pip(ve):
    """Say where one would look for pip that there is none: what it installs would be lost with the virtualenv, and
    where that is activated another Python's pip would be found. A pip that is pinned takes this one's place."""
    for packages in ve.glob("lib/python*/site-packages"):
        (packages / "pip.py").write_text(NO_PIP)
    for name in ("pip", "pip3"):
        (ve / "bin" / name).write_text('#!/bin/sh\nexec "${0%/*}/python" -m pip "$@"\n')
        (ve / "bin" / name).chmod(0o755)


def clear(ve):
    """Leave an empty folder that is known for a virtualenv, at whatever moment this is ended; sentinels go first."""
    mark = ve / "pyvenv.cfg"
    if ve.exists() and not mark.exists() and any(ve.iterdir()):
        raise Problem("{} is in the way and is no virtualenv: move it, or run make VE=another-name".format(ve))
    ve.mkdir(parents=True, exist_ok=True)
    mark.touch()
    for path in sorted(set(ve.iterdir()) - {mark}, key=lambda path: not path.name.startswith("sentinel")):
        shutil.rmtree(str(path)) if path.is_dir() and not path.is_symlink() else path.unlink()


def add(sentinel, requirements, env):
    """Install what `requirements` have on top of the first, or the first alone; write the sentinel."""
    ve, files = sentinel.parent, requirements if sentinel.name == "sentinel" else requirements[1:]
    content = wanted(ve, requirements, env)  # read before, so that an edit meanwhile is not taken for installed
    before, unfinished = packages(ve), ve / "unfinished"
    unfinished.touch()  # there meanwhile, as what a killed installer left may look installed
    try:
        if files:  # of development there may be none
            say("installing {}".format(" ".join(map(str, files))))
            install(ve, files, env)
    except Problem:
        if packages(ve) == before:  # it failed before it changed anything: what was there is still whole
            unfinished.unlink()
        raise
    sentinel.write_bytes(content)
    unfinished.unlink()


def packages(ve):
    return set(ve.glob("lib/python*/site-packages/*"))


def run_uv(args, ve, env):
    """Become uv, whoever installs. A virtualenv that is made for it alone has no sentinel, as nothing else is in."""
    with lock(ve):
        if not (ve / "bin/python").exists():
            create(ve)
        uv, failed = find_uv(ve, env)
    if failed:
        raise Problem("{0} gives no uv, which compiles the pins: {1}: take the template's, or write uv into it".format(
            names_uv(env), why(failed.stdout)))
    os.execve(uv, args, dict(uv_settings(env), **env))


if __name__ == "__main__":
    main(sys.argv[1:])
