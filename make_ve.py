"""Make the virtualenv that ve.mk asks for: `python3 make_ve.py SENTINEL REQUIREMENTS...`.

The sentinel is removed first and written last, so a virtualenv with one is whole. It holds what it was made from
(python, folder, pins); ve.mk compares that with what is wanted, and runs this file only when they differ.
`python3 make_ve.py uv ...` runs the virtualenv's uv with the settings that pip has.

Runs in the user's own Python: standard library only, and no syntax newer than the oldest it has to turn away.
"""

import sys

if sys.version_info < (3, 6):
    sys.exit("make: Python {}.{} is too old, run make PYTHON=python3".format(*sys.version_info))

import configparser
import contextlib
import errno
import fcntl
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

NETWORK = re.compile("connection|name resolution|dns error|timed? ?out|proxy|unreachable|certificate", re.IGNORECASE)
IMPATIENT = ["--retries", "1", "--timeout", "5"]  # seconds; where there is no network it shall be said soon
# What pip is told by its settings, uv is told too: the same index, folder and certificates.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS",
             "cert": "SSL_CERT_FILE"}
CURES = {errno.ENOSPC: "free some space, then run make again", errno.ENOENT: "is the path right?"}


class Problem(Exception):
    """What is wrong and what to do, in one line."""


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


def pip_wheel():
    """The path of the pip wheel that Python carries for venv, or None. Debian keeps it outside ensurepip."""
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(sysconfig.get_path("stdlib"), "ensurepip/_bundled")]
    with contextlib.suppress(ImportError):
        import ensurepip  # noqa: F401 - Debian without python3-venv may have the wheel, but not this
        import venv  # noqa: F401
        wheels = [wheel for folder in folders if folder for wheel in Path(folder).glob("pip-*.whl")]
        return wheels[0] if wheels else None


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


def install(ve, files, env):
    """Install files of pins with uv or, where it cannot be had or fails, with pip; raise Problem where both fail."""
    said = ""
    if env["INSTALLER"] != "pip" and (env["INSTALLER"] != "uv" or os.path.exists(env["REQUIREMENTS_UV"])):
        done = uv_install(ve, files, env)
        said = done.stdout
        if done.returncode == 0:
            return
    done = pip(ve, files, env, IMPATIENT if NETWORK.search(said) else [])
    if done.returncode == 0:
        return say("installed it with pip, as uv failed: {}".format(why(said))) if said else None
    (ve / "install.log").write_text(said + done.stdout)
    cause = why(said + done.stdout)
    if NETWORK.search(done.stdout):
        cause = "cannot reach the package index: check the network, proxy or pip's index-url, then run make again"
    raise Problem("{} is not installed: {} (more in {}/install.log)".format(files[-1], cause, ve))


def uv_install(ve, files, env):
    """Have uv install the files."""
    uv, failed = find_uv(ve, env)
    command = [uv, "pip", "install", "--quiet", "--python", str(ve / "bin/python")]
    return failed or run(command + from_files(files) + shlex.split(env["PIP_ARGS"]), dict(uv_settings(env), **env))


def find_uv(ve, env):
    """The uv that INSTALLER names, or the pinned one, which pip fetches first; and pip's failure, if it could not."""
    uv = str(ve / "bin/uv") if env.get("INSTALLER", "uv") in ("uv", "pip") else env["INSTALLER"]
    if os.path.exists(uv) or uv == env.get("INSTALLER"):
        return uv, None
    done = pip(ve, [Path(env["REQUIREMENTS_UV"])], env, ["--no-deps"] + IMPATIENT)
    return uv, done if done.returncode else None


def run_uv(args, ve, env):
    """Become uv, whoever installs. A virtualenv that is made for it alone has no sentinel, as nothing else is in."""
    with lock(ve):
        if not (ve / "bin/python").exists():
            create(ve)
        uv, failed = find_uv(ve, env)
    if failed:
        raise Problem("{0} gives no uv, which compiles the pins: {1}: take the template's, or echo uv >{0}".format(
            env["REQUIREMENTS_UV"], why(failed.stdout)))
    os.execve(uv, args, dict(uv_settings(env), **env))


def pip(ve, files, env, options):
    """Run pip in the virtualenv, which has none of its own: this Python's, a second faster as it is compiled already,
    where it is new enough to be told of another Python; else the one that Python carries."""
    python, own = str(ve / "bin/python"), pip_version() >= (22, 3)
    command = [sys.executable, "-m", "pip", "--python", python] if own else [python, "-m", "pip"]
    command += ["--disable-pip-version-check", "install", "--quiet"] + options + from_files(files)
    carried = {} if own else {"PYTHONPATH": str(pip_wheel())}
    return run(command + shlex.split(env["PIP_ARGS"]), dict(env, PIP_USER="0", **carried))


def pip_version():
    """(major, minor) of this Python's own pip; (0, 0) where it has none."""
    with contextlib.suppress(ImportError, ValueError):
        return tuple(int(part) for part in importlib.import_module("pip").__version__.split(".")[:2])
    return 0, 0


def from_files(files):
    """The options that install files of pins, insisting on hashes where there are any."""
    hashed = any("--hash=" in path.read_text() for path in files if path.exists())
    return ["--require-hashes"] * hashed + [word for path in files for word in ("-r", str(path))]


def uv_settings(env):
    """What pip's settings files and PIP_ variables say, as uv's variables. Uv reads neither."""
    mac, folder = Path.home() / "Library/Application Support", env.get("XDG_CONFIG_HOME", Path.home() / ".config")
    files = [Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", mac / "pip/pip.conf", Path(folder, "pip/pip.conf")]
    own = env.get("PIP_CONFIG_FILE", os.devnull)
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(configparser.Error):  # pip says what is wrong with it
        settings.read([own] if env.get("PIP_CONFIG_FILE") == os.devnull else [str(path) for path in files] + [own])
    found = {}
    for key in PIP_TO_UV:
        values = [settings.get(section, key, fallback=None) for section in ("install", "global")]
        values.insert(0, env.get("PIP_" + key.upper().replace("-", "_")))
        found.update((PIP_TO_UV[key], " ".join(value.split())) for value in values[::-1] if value)
    return dict(found, UV_INDEX_STRATEGY="unsafe-best-match") if found else {}  # pip too looks in all of them


def run(command, env=None):
    """Run to the end with what it says kept, as text in stdout. Children hold the lock too."""
    try:
        return subprocess.run(
            command, env=dict(env or os.environ, LC_ALL="C.UTF-8"), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, close_fds=False)
    except OSError as error:  # a program for another machine, say
        return subprocess.CompletedProcess(command, 127, str(error))


def why(output):
    """The one line of a failed program's output that says most: its last error, else its last line."""
    mismatch = re.search(r"(?:DO NOT MATCH THE HASHES.*?\n\s*|hash mismatch for `)([^\s`]+)", output, re.DOTALL | re.I)
    if mismatch:
        return "{} is not the file that its hash in the pins is of".format(mismatch.group(1))
    lines = [line.strip(" \t\u2502\u251c\u2570\u2500\u25b6\u00d7") for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(error|caused by)", line, re.IGNORECASE)]
    line = (errors or lines or ["it did not say why"])[-1]
    return re.sub(r"^(error|caused by):\s*", "", line, flags=re.IGNORECASE)


def say(text):
    """A line of progress, on stderr so that a command's own output stays clean."""
    sys.stderr.write("make: {}\n".format(text))


if __name__ == "__main__":
    main(sys.argv[1:])
