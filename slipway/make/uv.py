"""Run uv, or pip where there is no uv, with the settings that this machine has for pip. Needs Python 3.9."""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

# What an installer may say, and the cause to name.
CAUSES = {
    r"(?:DO NOT MATCH THE HASHES.*?\n\s*|hash mismatch for `)([^\s`]+)": r"\1 does not match its hash in the pins",
    "connection|name resolution|dns error|timed? ?out|proxy|unreachable|certificate":
        "cannot reach the package index: check the network, proxy or pip's index-url, then run make again",
    r"\b40[13] (Error|Unauthorized|Forbidden)|authentication credentials":
        "an index refused the login: check the user and password in its URL or settings",
    r"because (\S+) was not found in the package registry":  # uv does not say which
        r"no index has \1, or one refused the login: check the user and password in its URL or settings",
    r"no matching distribution found for uv\b":
        "no index has this uv for this machine: install uv, or run make INSTALLER=pip"}
# Settings of pip that we pass on to uv: indexes, folders with packages, certificates.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS",
             "cert": "SSL_CERT_FILE"}
ANY_INDEX = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # let uv take each package from any index, not only the first


class Problem(Exception):
    """An error that says in one line what is wrong and what to do."""


def installer(ve: Path, files: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Return the command that installs what `files` pin into the virtualenv `ve`: uv's, which also removes all else,
    or pip's. If one package has a hash, every package needs a hash."""
    hashes = ["--require-hashes"] * any("--hash=" in Path(path).read_text("utf-8") for path in files)
    words = [*hashes, *shlex.split(env["PIP_ARGS"])]
    if env["INSTALLER"] == "pip" or not (there(ve, env) or pins(env).exists()):
        return [*pip(ve), *words, *(word for file in files for word in ("-r", file))]
    sync = ["pip", "sync", "--quiet", "--allow-empty-requirements", "--python", str(ve / "bin/python")]
    return [find(ve, env), *sync, *words, *files]


def pins(env: Mapping[str, str]) -> Path:
    """Return the file that names the uv to install."""
    pin = Path(env["REQUIREMENTS_UV"])
    return pin if pin.exists() else pin.with_suffix(".in")


def there(ve: Path, env: Mapping[str, str]) -> str:
    """Return uv's path, or "" if there is none: INSTALLER, the one that runs this (UV) or is on the path, or the one
    that `find` has installed."""
    if env["INSTALLER"] not in ("uv", "pip"):
        return env["INSTALLER"]
    known = [env.get("UV"), shutil.which("uv"), os.path.join(env["VE"], "bin/uv"), str(ve / "bin/uv")]
    return next((uv for uv in known if uv and os.path.exists(uv)), "")


def find(ve: Path, env: Mapping[str, str]) -> str:
    """Return uv's path. If there is no uv, pip installs the pinned one into `ve`, where `uv pip sync` lets both be."""
    path = there(ve, env)
    if not path:
        if not pins(env).exists():
            raise Problem(f"no uv and no {pins(env)} here: install uv, or write it into that file")
        words = ["--retries", "1", "--timeout", "5", *shlex.split(env["PIP_ARGS"])]  # report a missing network soon
        run([*pip(ve), *words, "-r", str(pins(env))], ve, f"the uv of {pins(env)}", env)
    return path or str(ve / "bin/uv")


def pip(ve: Path) -> list[str]:
    """Return the command of this Python's pip or, if it has none, of one that this installs into the virtualenv."""
    python, words = str(ve / "bin/python"), ["--disable-pip-version-check", "install", "--quiet"]
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", python, *words]
    if not any(ve.glob("lib/python*/site-packages/pip/__init__.py")):  # this takes two seconds
        subprocess.run([python, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL, close_fds=False)
    return [python, "-m", "pip", *words]


def run(command: Sequence[str], ve: Path, what: str, env: Mapping[str, str]) -> None:
    """Run an installer, which inherits the virtualenv's lock. Raise Problem if it fails to install `what`."""
    # The pins' hashes protect packages, so uv may take each one from any index.
    strategy = ANY_INDEX if "--require-hashes" in command else {}
    try:
        done = subprocess.run(
            command, env={**strategy, **settings(env), "PIP_USER": "0", "LC_ALL": "C.UTF-8"}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, close_fds=False)
    except OSError as error:  # for example, the program is for another processor
        raise Problem(f"{command[0]}: {error.strerror}: set INSTALLER to another uv, or to pip") from error
    if done.returncode:
        (ve / "install.log").write_text(done.stdout)
        raise Problem(f"{what} is not installed: {why(done.stdout)} (more in {ve}/install.log)")


def settings(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with pip's settings, such as indexes, as uv's variables."""
    folders = "/etc", "~/.pip", "~/Library/Application Support/pip", env.get("XDG_CONFIG_HOME", "~/.config") + "/pip"
    own = env.get("PIP_CONFIG_FILE", "")
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(configparser.Error):  # pip itself reports what is wrong
        for path in [*(f"{folder}/pip.conf" for folder in folders if own != os.devnull), own]:
            parser.read(os.path.expanduser(path))
    found: dict[str, str] = {}
    for key, name in PIP_TO_UV.items():
        values = [parser.get(section, key, fallback="") for section in ("global", "install")]
        values.append(env.get("PIP_" + key.upper().replace("-", "_"), ""))
        found.update((name, " ".join(value.split())) for value in values if value)
    return {**found, **env}


def why(output: str) -> str:
    """Return the cause in a failed installer's output: one of CAUSES, else the last error, else the last line."""
    for pattern, cause in CAUSES.items():
        if found := re.search(pattern, output, re.DOTALL | re.IGNORECASE):
            return found.expand(cause)
    errors = re.findall(r"^\W*(?:error|caused by|cause):\s*(.+)", output, re.MULTILINE | re.IGNORECASE)
    lines: list[str] = errors or re.findall(r"^\W*(\w.*)", output, re.MULTILINE) or ["no error message"]
    return lines[-1]


def say(text: str) -> None:
    sys.stderr.write(f"make: {text}\n")
