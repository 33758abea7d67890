"""Run uv or pip with the settings that this machine has for pip. Needs Python 3.9."""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from slipway.make import toml

# How uv and pip say that they got no answer. Each has a space, which no name of a package and no URL has.
NO_ANSWER = (
    "error sending request for|connection broken by|failed to establish a new connection|cannot connect to proxy|"
    "(?:read|operation|request) timed out|connection (?:refused|reset|closed|aborted)|name resolution|dns error|"
    "network is unreachable|certificate verify failed|invalid peer certificate"
)
# What an installer may say, and the cause to name. All else it says well itself.
CAUSES = [
    (r"(?:DO NOT MATCH THE HASHES.*?\n\s*|hash mismatch for `)([^\s`]+)", r"\1 does not match its hash in the pins"),
    (
        NO_ANSWER,
        "cannot reach the package index: check the network, proxy or pip's index-url, then run make again",
    ),
    (  # uv does not say which index
        r"because (\S+) was not found in the package registry",
        r"no index has \1, or one refused the login: check the user and password in its URL or settings",
    ),
    (
        r"no matching distribution found for uv(?![\w.-])",
        "no index has this uv for this machine: install uv, or run make INSTALLER=pip",
    ),
]
# Settings of pip that we pass on to uv: indexes, folders with packages, certificates.
CERTIFICATES = {"cert": "SSL_CERT_FILE"}
PIP_TO_UV = {
    **CERTIFICATES,
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
}
ANY_INDEX = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # let uv take each package from any index, not only the first
# Else uv links files to its cache: an edit of one would be in all virtualenvs, and come back with each new one.
OWN_FILES = {"UV_LINK_MODE": "copy"}


def run(command: Sequence[str], ve: Path, env: Mapping[str, str]) -> str:
    """Run a program that changes the virtualenv `ve`; it inherits the lock. Return the cause if it fails, or ""."""
    env = {**OWN_FILES, **settings(env), **pip_indexes(env), "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            close_fds=False,
            check=False,
        )
    except OSError as error:  # for example, the program is for another processor
        return f"{command[0]}: {error.strerror}: set INSTALLER to another uv, or to pip"
    if done.returncode == 0:
        return ""
    (ve / "install.log").write_text(done.stdout)
    return f"{why(done.stdout)} (more in {ve}/install.log)"


def settings(env: Mapping[str, str], *, indexes: bool = True) -> dict[str, str]:
    """Return the environment with pip's settings as uv's variables: certificates and, unless `indexes` is False, where
    this machine finds packages."""
    folders = "/etc", "~/.pip", "~/Library/Application Support/pip", env.get("XDG_CONFIG_HOME", "~/.config") + "/pip"
    own = env.get("PIP_CONFIG_FILE", "")
    files = [*(f"{folder}/pip.conf" for folder in folders if own != os.devnull), own]
    config = configparser.RawConfigParser(strict=False)
    with contextlib.suppress(configparser.Error):  # pip itself reports what is wrong
        config.read(map(os.path.expanduser, files))
    from_pip: dict[str, str] = {}
    for key, name in PIP_TO_UV.items() if indexes else CERTIFICATES.items():
        values = [config.get(section, key, fallback="") for section in ("global", "install")]
        values.append(env.get("PIP_" + key.upper().replace("-", "_"), ""))
        from_pip.update((name, " ".join(value.split())) for value in values if value)
    return {**from_pip, **env}


def pip_indexes(env: Mapping[str, str]) -> dict[str, str]:
    """Return the indexes of pyproject.toml, with their logins in the environment, as pip's variables. uv reads them
    itself."""
    urls: dict[str, list[str]] = {"PIP_INDEX_URL": [], "PIP_EXTRA_INDEX_URL": []}
    for index in toml.indexes(Path("pyproject.toml")):
        name = "UV_INDEX_" + re.sub(r"\W", "_", str(index.get("name", ""))).upper()
        login = ":".join(quote(env[key], safe="") for key in (f"{name}_USERNAME", f"{name}_PASSWORD") if key in env)
        url = re.sub("^(https?://)([^/@]*@)?", rf"\1{login}@", index["url"]) if login else index["url"]
        urls["PIP_INDEX_URL" if index.get("default") else "PIP_EXTRA_INDEX_URL"].append(url)
    return {name: " ".join(values) for name, values in urls.items() if values}


def why(output: str) -> str:
    """Return the cause in a failed installer's output: one of CAUSES, else the last error, else the last line."""
    for pattern, cause in CAUSES:
        if match := re.search(pattern, output, re.DOTALL | re.IGNORECASE):
            return match.expand(cause)
    lines = re.findall(r"^\W*(?:error|caused by|cause):\s*(.+)", output, re.MULTILINE | re.IGNORECASE)
    return (lines or output.strip().splitlines() or ["no error message"])[-1]
