"""Install packages for make_ve.py: with uv or, where it cannot be had, with the pip that every Python carries.

As make_ve.py does, keeps to the standard library and to old syntax.
"""

import configparser
import contextlib
import importlib
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Mapping

NETWORK = re.compile("connection|name resolution|dns error|timed? ?out|proxy|unreachable|certificate", re.IGNORECASE)
NO_LOGIN = re.compile(r"\b40[13] (Error|Unauthorized|Forbidden)|authentication credentials", re.IGNORECASE)
IMPATIENT = ["--retries", "1", "--timeout", "5"]  # seconds; where there is no network it shall be said soon
# What pip is told by its settings, uv is told too: the same index, folder and certificates.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS",
             "cert": "SSL_CERT_FILE"}


class Problem(Exception):
    """What is wrong and what to do, in one line."""


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
    elif NO_LOGIN.search(said + done.stdout):
        cause = "an index lets nobody in: check the user and password that its URL or settings name"
    raise Problem("{} is not installed: {} (more in {}/install.log)".format(files[-1], cause, ve))


def uv_install(ve, files, env):
    """Have uv install the files."""
    uv, failed = find_uv(ve, env)
    command = [uv, "pip", "install", "--quiet", "--python", str(ve / "bin/python")] + from_files(files)
    # Where hashes say which file it is, any index may have it.
    strategy = {"UV_INDEX_STRATEGY": "unsafe-best-match"} if "--require-hashes" in command else {}
    return failed or run(command + shlex.split(env["PIP_ARGS"]), {**strategy, **uv_settings(env), **env})


def find_uv(ve, env):
    """The uv that INSTALLER names, or the pinned one, which pip fetches first; and pip's failure, if it could not."""
    uv = str(ve / "bin/uv") if env.get("INSTALLER", "uv") in ("uv", "pip") else env["INSTALLER"]
    if os.path.exists(uv) or uv == env.get("INSTALLER"):
        return uv, None
    done = pip(ve, [names_uv(env)], env, ["--no-deps"] + IMPATIENT)
    return uv, done if done.returncode else None


def names_uv(env: Mapping[str, str]) -> Path:
    """The file that names uv: its pin or, until that is compiled, the .in file."""
    pin = Path(env["REQUIREMENTS_UV"])
    return pin if pin.exists() else pin.with_suffix(".in")


def pip_wheel():
    """The path of the pip wheel that Python carries for venv, or None. Debian keeps it outside ensurepip."""
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(sysconfig.get_path("stdlib"), "ensurepip/_bundled")]
    with contextlib.suppress(ImportError):
        import ensurepip  # noqa: F401 - Debian without python3-venv may have the wheel, but not this
        import venv  # noqa: F401
        wheels = [wheel for folder in folders if folder for wheel in Path(folder).glob("pip-*.whl")]
        return wheels[0] if wheels else None


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
    return found


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
