"""Install packages for virtualenv.py: with uv or, if that fails, with pip.

Like virtualenv.py, this file must parse in an old Python, so that make can ask for a newer one.
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
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

NETWORK = re.compile("connection|name resolution|dns error|timed? ?out|proxy|unreachable|certificate", re.IGNORECASE)
NO_LOGIN = re.compile(r"\b40[13] (Error|Unauthorized|Forbidden)|authentication credentials", re.IGNORECASE)
IMPATIENT = ["--retries", "1", "--timeout", "5"]  # one retry, 5 s: report a missing network soon
# Settings of pip that we pass on to uv: indexes, folders with packages, certificates.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS",
             "cert": "SSL_CERT_FILE"}


class Problem(Exception):
    """An error that says in one line what is wrong and what to do."""


def install(ve: Path, files: Sequence[Path], env: Mapping[str, str]) -> None:
    """Install the packages that `files` list into the virtualenv `ve`. Raise Problem if neither uv nor pip can."""
    said = ""
    if env["INSTALLER"] != "pip" and (env["INSTALLER"] != "uv" or os.path.exists(env["REQUIREMENTS_UV"])):
        done = uv_install(ve, files, env)
        said = done.stdout
        if done.returncode == 0:
            return
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


def uv_install(ve: Path, files: Sequence[Path], env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    uv, failed = find_uv(ve, env)
    command = [uv, "pip", "install", "--quiet", "--python", str(ve / "bin/python")] + from_files(files)
    # The pins' hashes protect packages, so uv may take each one from any index.
    strategy = {"UV_INDEX_STRATEGY": "unsafe-best-match"} if "--require-hashes" in command else {}
    return failed or run(command + shlex.split(env["PIP_ARGS"]), {**strategy, **uv_settings(env), **env})


def find_uv(ve: Path, env: Mapping[str, str]) -> "Tuple[str, Optional[subprocess.CompletedProcess[str]]]":
    """Return uv's path (INSTALLER or ve/bin/uv) and, if pip failed, pip's result. pip installs a missing ve/bin/uv."""
    uv = str(ve / "bin/uv") if env.get("INSTALLER", "uv") in ("uv", "pip") else env["INSTALLER"]
    if os.path.exists(uv) or uv == env.get("INSTALLER"):
        return uv, None
    done = pip(ve, [names_uv(env)], env, ["--no-deps"] + IMPATIENT)
    return uv, done if done.returncode else None


def names_uv(env: Mapping[str, str]) -> Path:
    pin = Path(env["REQUIREMENTS_UV"])
    return pin if pin.exists() else pin.with_suffix(".in")


def pip_wheel() -> Optional[Path]:
    """Return Python's pip wheel; None if it, ensurepip or venv is missing. Debian keeps the wheel outside ensurepip."""
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(sysconfig.get_path("stdlib"), "ensurepip/_bundled")]
    with contextlib.suppress(ImportError):
        import ensurepip  # noqa: F401 - Debian without python3-venv may have the wheel, but not this
        import venv  # noqa: F401
        wheels = [wheel for folder in folders if folder for wheel in Path(folder).glob("pip-*.whl")]
        return wheels[0] if wheels else None
    return None


def pip(ve: Path, files: Sequence[Path], env: Mapping[str, str],
        options: List[str]) -> "subprocess.CompletedProcess[str]":
    """Install the packages that `files` list into the virtualenv `ve`, which has no pip. Run this Python's pip. If that
    pip lacks the option --python, run Python's pip wheel, which is slower."""
    python, own = str(ve / "bin/python"), pip_version() >= (22, 3)
    command = [sys.executable, "-m", "pip", "--python", python] if own else [python, "-m", "pip"]
    command += ["--disable-pip-version-check", "install", "--quiet"] + options + from_files(files)
    carried = {} if own else {"PYTHONPATH": str(pip_wheel())}
    return run(command + shlex.split(env["PIP_ARGS"]), dict(env, PIP_USER="0", **carried))


def pip_version() -> Tuple[int, ...]:
    with contextlib.suppress(ImportError, ValueError):
        return tuple(int(part) for part in importlib.import_module("pip").__version__.split(".")[:2])
    return 0, 0


def from_files(files: Sequence[Path]) -> List[str]:
    """Return pip's options for these files. If one package has a hash, every package needs a hash."""
    hashed = any("--hash=" in path.read_text() for path in files if path.exists())
    return ["--require-hashes"] * hashed + [word for path in files for word in ("-r", str(path))]


def uv_settings(env: Mapping[str, str]) -> Dict[str, str]:
    """Return pip's settings, such as indexes, as environment variables for uv."""
    mac, folder = Path.home() / "Library/Application Support", env.get("XDG_CONFIG_HOME", Path.home() / ".config")
    files = [Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", mac / "pip/pip.conf", Path(folder, "pip/pip.conf")]
    own = env.get("PIP_CONFIG_FILE", os.devnull)
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(configparser.Error):  # pip itself reports what is wrong
        settings.read([own] if env.get("PIP_CONFIG_FILE") == os.devnull else [str(path) for path in files] + [own])
    found = {}  # type: Dict[str, str]
    for key in PIP_TO_UV:
        values = [settings.get(section, key, fallback=None) for section in ("install", "global")]
        values.insert(0, env.get("PIP_" + key.upper().replace("-", "_")))
        found.update((PIP_TO_UV[key], " ".join(value.split())) for value in values[::-1] if value)
    return found


def run(command: Sequence[str], env: Optional[Mapping[str, str]] = None) -> "subprocess.CompletedProcess[str]":
    """Run a command with all output in `stdout`. The command inherits the virtualenv's lock."""
    try:
        return subprocess.run(
            command, env=dict(env or os.environ, LC_ALL="C.UTF-8"), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, close_fds=False)
    except OSError as error:  # for example, the program is for another processor
        return subprocess.CompletedProcess(command, 127, str(error))


def why(output: str) -> str:
    """Return the cause in a failed program's output: a wrong hash, else the last error, else the last line."""
    mismatch = re.search(r"(?:DO NOT MATCH THE HASHES.*?\n\s*|hash mismatch for `)([^\s`]+)", output, re.DOTALL | re.I)
    if mismatch:
        return "{} does not match its hash in the pins".format(mismatch.group(1))
    lines = [line.strip(" \t\u2502\u251c\u2570\u2500\u25b6\u00d7") for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(error|caused by)", line, re.IGNORECASE)]
    line = (errors or lines or ["no error message"])[-1]
    return re.sub(r"^(error|caused by):\s*", "", line, flags=re.IGNORECASE)


def say(text: str) -> None:
    sys.stderr.write("make: {}\n".format(text))
