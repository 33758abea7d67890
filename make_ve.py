"""Make the virtualenv that django.mk asks for: `python3 make_ve.py SENTINEL REQUIREMENTS…`.

The sentinel is removed first and written last, so a virtualenv with one is whole. It holds what it was made from
(python, folder, pins); django.mk compares that with what is wanted, and runs this file only when they differ.

Runs in the user's own Python, before anything is installed: standard library only, and no syntax newer than the
oldest Python it has to turn away in plain words.
"""

import configparser
import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

NETWORK = re.compile(r"connect|resolv|dns|timed? ?out|proxy|unreachable", re.IGNORECASE)
# What pip is told by its settings, uv is told too: the same index, folder and certificates.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS",
             "cert": "SSL_CERT_FILE"}


class Problem(Exception):
    """What is wrong and what to do, in one line."""


def main(sentinel, requirements, env=os.environ):
    """Bring the virtualenv to where `sentinel` holds for the files in `requirements`, or say in one line why not."""
    try:
        check_python(env["PYTHON"], env["PYTHON_MIN"])
        ve = Path(env["VE"])
        with lock(ve):
            if not holds(ve, sentinel, requirements, env):
                make(ve, sentinel, requirements, env)
    except Problem as problem:
        sys.exit("make: {}".format(problem))
    except OSError as error:
        sys.exit("make: cannot write {}: {}".format(error.filename or env["VE"], error.strerror))
    except KeyboardInterrupt:
        sys.exit(130)


def check_python(python, least):
    """Raise Problem when this Python is older than `least` ("3.11") or cannot make a virtualenv."""
    if sys.version_info < tuple(int(part) for part in least.split(".")):
        found = [name for name in newer_pythons(least) if shutil.which(name)]
        raise Problem("{} is Python {}, and this project needs {} or newer: {}".format(
            python, sys.version.split()[0], least,
            "run make PYTHON={}".format(found[0]) if found else "install one, then run make PYTHON=python" + least))
    if not pip_wheel():
        raise Problem("{0} lacks the venv module: apt install python{1}.{2}-venv (or python3-venv), "
                      "then run make again".format(python, *sys.version_info))


def newer_pythons(least):
    """Names to look for, newest first: python3.16 down to `least`."""
    return ["python3.{}".format(minor) for minor in range(16, int(least.split(".")[1]) - 1, -1)]


def pip_wheel():
    """The path of the pip wheel that Python carries for venv, or None. Debian keeps it outside ensurepip."""
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(sysconfig.get_path("stdlib"), "ensurepip/_bundled")]
    with contextlib.suppress(ImportError):
        import ensurepip  # noqa: F401 - Debian without python3-venv may have the wheel, but not this
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


def holds(ve, sentinel, requirements, env):
    """Whether the sentinel says that just this is installed. `holds` in django.mk asks the same without Python."""
    with contextlib.suppress(OSError):
        return os.access(str(ve / "bin/python"), os.X_OK) and sentinel.read_bytes() == wanted(requirements, env)
    return False


def wanted(requirements, env):
    """The content of a sentinel: `holds` in django.mk must write the same bytes."""
    head = os.fsencode("{}\n{}\n".format(env["PYTHON"], os.getcwd()))
    return head + b"".join(path.read_bytes() for path in requirements)


def make(ve, sentinel, requirements, env):
    """Install the files of `requirements`, the first of them under ve/sentinel.

    Changed pins always mean a new virtualenv, as what they no longer name must go; only a virtualenv that holds
    the first file, and never had more, is added to.
    """
    first = ve / "sentinel"
    if sentinel.exists() or not holds(ve, first, requirements[:1], env):
        create(ve)
        add(ve, first, requirements[:1], env)
    if sentinel != first:
        add(ve, sentinel, requirements, env)


def create(ve):
    """An empty virtualenv, without pip: seconds faster, and make needs none there."""
    clear(ve)
    # The interpreter itself and not a link to it: an upgrade then leaves bin/python dangling, which django.mk sees.
    python = os.path.realpath(sys.executable)
    done = run([python, "-m", "venv", "--without-pip", str(ve)])
    if done.returncode:
        raise Problem("{} made no virtualenv: {}".format(python, last_words(done.stdout)))


def clear(ve):
    """Leave an empty folder that is known for a virtualenv, at whatever moment this is ended; sentinels go first."""
    mark = ve / "pyvenv.cfg"
    if ve.exists() and not mark.exists() and any(ve.iterdir()):
        raise Problem("{} is in the way and is no virtualenv: move it, or run make VE=another-name".format(ve))
    ve.mkdir(parents=True, exist_ok=True)
    mark.touch()
    for path in sorted(set(ve.iterdir()) - {mark}, key=lambda path: not path.name.startswith("sentinel")):
        shutil.rmtree(str(path)) if path.is_dir() and not path.is_symlink() else path.unlink()


def add(ve, sentinel, requirements, env):
    """Install the last of `requirements` with uv or, where it cannot be had or fails, with pip; write the sentinel."""
    content = wanted(requirements, env)  # read before, so that an edit meanwhile is not taken for installed
    say("installing {}".format(requirements[-1]))
    if not (env["INSTALLER"] == "uv" and have_uv(ve, env) and uv_install(ve, requirements[-1], env)):
        pip_install(ve, requirements[-1], env)
    sentinel.write_bytes(content)


def have_uv(ve, env):
    """Fetch the pinned uv into the virtualenv, by the pip that Python carries. False where it is not to be had."""
    pins = Path(env["REQUIREMENTS_UV"])
    if (ve / "bin/uv").exists() or not pins.exists():
        return pins.exists()
    return pip(ve, ["--no-deps", "--retries", "1"], pins, env).returncode == 0


def uv_install(ve, requirements, env):
    """Whether uv installed the file. Where it did not, say why in a line: pip is tried next, and may know better."""
    command = [str(ve / "bin/uv"), "pip", "install", "--quiet", "--python", str(ve / "bin/python")]
    done = run(command + from_file(requirements) + env["PIP_ARGS"].split(), dict(uv_settings(env), **env))
    if done.returncode:
        say("uv: {}; trying pip".format(last_words(done.stdout)))
    return done.returncode == 0


def pip_install(ve, requirements, env):
    """Install with pip or raise Problem; the whole of what pip said stays in install.log."""
    done = pip(ve, [], requirements, env)
    if done.returncode:
        log = ve / "install.log"
        log.write_text(done.stdout)
        cure = ("no way to the package index? check the network or proxy, then run make again"
                if NETWORK.search(done.stdout) else "correct it, then run make again")
        raise Problem("{} is not installed: {} ({}; more in {})".format(
            requirements, last_words(done.stdout), cure, log))


def pip(ve, options, requirements, env):
    """Run the pip that Python carries in the virtualenv, which has none of its own."""
    command = [str(ve / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    return run(command + options + from_file(requirements) + env["PIP_ARGS"].split(),
               dict(env, PYTHONPATH=str(pip_wheel())))


def from_file(requirements):
    """The options that install a file of pins, insisting on hashes where it has any."""
    return (["--require-hashes"] if "--hash=" in requirements.read_text() else []) + ["-r", str(requirements)]


def uv_settings(env):
    """What pip's settings files and PIP_ variables say, as uv's variables. Uv reads neither."""
    files = [Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"]
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(str(path) for path in files + [Path(env.get("PIP_CONFIG_FILE", os.devnull))])
    found = dict(settings["global"]) if "global" in settings else {}
    found.update((key, env["PIP_" + key.upper().replace("-", "_")]) for key in PIP_TO_UV
                 if "PIP_" + key.upper().replace("-", "_") in env)
    told = {PIP_TO_UV[key]: " ".join(value.split()) for key, value in found.items() if key in PIP_TO_UV}
    return dict(told, UV_INDEX_STRATEGY="unsafe-best-match") if told else {}  # pip too looks in all of them


def run(command, env=None):
    """Run to the end with what it says kept, as text in stdout. Children hold the lock too."""
    return subprocess.run(command, env=dict(env or os.environ, LC_ALL="C.UTF-8"), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, close_fds=False)


def last_words(output):
    """The one line of a failed program's output that says most: its last error, else its last line."""
    lines = [line.strip(" \t\u2502\u251c\u2570\u2500\u25b6") for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(error|caused by)", line, re.IGNORECASE)]
    return re.sub(r"^(error|caused by):\s*", "", (errors or lines or ["it did not say why"])[-1], flags=re.IGNORECASE)


def say(text):
    """A line of progress, on stderr so that a command's own output stays clean."""
    print("make: " + text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(arg) for arg in sys.argv[2:]])
