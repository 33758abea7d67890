"""Run uv, or pip where there is no uv, with the settings that this machine has for pip."""

import configparser
import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from slipway.make.python import pip_wheel

NETWORK = re.compile("connection|name resolution|dns error|timed? ?out|proxy|unreachable|certificate", re.IGNORECASE)
NO_LOGIN = re.compile(r"\b40[13] (Error|Unauthorized|Forbidden)|authentication credentials", re.IGNORECASE)
IMPATIENT = ["--retries", "1", "--timeout", "5"]  # one retry, 5 s: report a missing network soon
# Settings of pip that we pass on to uv: indexes, folders with packages, certificates.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS",
             "cert": "SSL_CERT_FILE"}
ANY_INDEX = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # let uv take each package from any index, not only the first
Done = subprocess.CompletedProcess  # with all output in `stdout`


class Problem(Exception):
    """An error that says in one line what is wrong and what to do."""


def install(ve: Path, files: List[str], env: Mapping[str, str]) -> None:
    """Install what `files` pin into the virtualenv `ve`, by uv or, if that fails, by pip. Raise Problem if none can."""
    said = ""
    if env["INSTALLER"] != "pip" and (env["INSTALLER"] != "uv" or os.path.exists(env["REQUIREMENTS_UV"])):
        done = sync(ve, files, env)
        if done.returncode == 0:
            return
        said = done.stdout
    done = pip(ve, files, env, IMPATIENT if NETWORK.search(said) else [])
    if done.returncode == 0:
        return say("installed the packages with pip, as uv failed: {}".format(why(said))) if said else None
    (ve / "install.log").write_text(said + done.stdout)
    cause = why(said + done.stdout)
    if NETWORK.search(done.stdout):
        cause = "cannot reach the package index: check the network, proxy or pip's index-url, then run make again"
    elif NO_LOGIN.search(said + done.stdout):
        cause = "an index refused the login: check the user and password in its URL or settings"
    raise Problem("{} is not installed: {} (more in {}/install.log)".format(files[-1], cause, ve))


def pins(env: Mapping[str, str]) -> Path:
    """Return the file that names the uv to install."""
    pin = Path(env["REQUIREMENTS_UV"])
    return pin if pin.exists() else pin.with_suffix(".in")


def there(ve: Path, env: Mapping[str, str]) -> str:
    """Return uv's path, or "" if there is none: INSTALLER, the one that runs this (UV) or is on the path, or the one
    that `find` has installed."""
    if env["INSTALLER"] not in ("uv", "pip"):
        return env["INSTALLER"]
    known = [env.get("UV"), shutil.which("uv"), os.path.join(env["VE"], "uv/bin/uv"), str(ve / "uv/bin/uv")]
    return next((uv for uv in known if uv and os.path.exists(uv)), "")


def find(ve: Path, env: Mapping[str, str]) -> "Tuple[str, Done[str]]":
    """Return uv's path, and pip's result. If there is no uv, pip installs the pinned one into the folder ve/uv."""
    path = there(ve, env)
    if path:
        return path, Done([], 0, "")
    return str(ve / "uv/bin/uv"), pip(ve, [str(pins(env))], env, [*IMPATIENT, "--no-deps", "--target", str(ve / "uv")])


def sync(ve: Path, files: Sequence[str], env: Mapping[str, str]) -> "Done[str]":
    """Install what `files` pin into the virtualenv `ve`, and remove all else."""
    uv, done = find(ve, env)
    hashed = hashes(files)
    # The pins' hashes protect packages, so uv may take each one from any index.
    strategy = ANY_INDEX if hashed else {}
    command = [uv, "pip", "sync", "--quiet", "--allow-empty-requirements", "--python", str(ve / "bin/python")]
    command += hashed + list(files) + shlex.split(env["PIP_ARGS"])
    return done if done.returncode else run(command, {**strategy, **settings(env)})


def pip(ve: Path, files: Sequence[str], env: Mapping[str, str], options: List[str]) -> "Done[str]":
    """Install what `files` pin by this Python's pip or, more slowly, by its pip wheel: the virtualenv has no pip."""
    python, own = str(ve / "bin/python"), importlib.util.find_spec("pip")
    command = [sys.executable, "-m", "pip", "--python", python] if own else [python, "-m", "pip"]
    command += ["--disable-pip-version-check", "install", "--quiet", *options]
    command += hashes(files) + [word for file in files for word in ("-r", file)] + shlex.split(env["PIP_ARGS"])
    return run(command, dict(env, PIP_USER="0", **({} if own else {"PYTHONPATH": str(pip_wheel())})))


def hashes(files: Sequence[str]) -> List[str]:
    """Return uv's and pip's option for these files. If one package has a hash, every package needs a hash."""
    return ["--require-hashes"] * any(
        "--hash=" in Path(path).read_text("utf-8") for path in files if os.path.exists(path))


def settings(env: Mapping[str, str]) -> Dict[str, str]:
    """Return the environment with pip's settings, such as indexes, as uv's variables."""
    mac, folder = Path.home() / "Library/Application Support", env.get("XDG_CONFIG_HOME", Path.home() / ".config")
    files = [Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", mac / "pip/pip.conf", Path(folder, "pip/pip.conf")]
    own = env.get("PIP_CONFIG_FILE", os.devnull)
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(configparser.Error):  # pip itself reports what is wrong
        parser.read([own] if env.get("PIP_CONFIG_FILE") == os.devnull else [*map(str, files), own])
    found = {}  # type: Dict[str, str]
    for key, name in PIP_TO_UV.items():
        values = [parser.get(section, key, fallback="") for section in ("global", "install")]
        values.append(env.get("PIP_" + key.upper().replace("-", "_"), ""))
        found.update((name, " ".join(value.split())) for value in values if value)
    return {**found, **env}


def run(command: Sequence[str], env: Optional[Mapping[str, str]] = None) -> "Done[str]":
    """Run a command with all output in `stdout`. The command inherits the virtualenv's lock."""
    try:
        return subprocess.run(
            command, env=dict(env or os.environ, LC_ALL="C.UTF-8"), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, close_fds=False)
    except OSError as error:  # for example, the program is for another processor
        return Done(command, 127, str(error))


def why(output: str) -> str:
    """Return the cause in a failed installer's output: a wrong hash, else the last error, else the last line."""
    mismatch = re.search(r"(?:DO NOT MATCH THE HASHES.*?\n\s*|hash mismatch for `)([^\s`]+)", output, re.DOTALL | re.I)
    if mismatch:
        return "{} does not match its hash in the pins".format(mismatch.group(1))
    lines = [line.strip(" \t\u2502\u251c\u2570\u2500\u25b6\u00d7") for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(error|caused by)", line, re.IGNORECASE)]
    line = (errors or lines or ["no error message"])[-1]
    return re.sub(r"^(error|caused by):\s*", "", line, flags=re.IGNORECASE)


def say(text: str) -> None:
    sys.stderr.write("make: {}\n".format(text))
