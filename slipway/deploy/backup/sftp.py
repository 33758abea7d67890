"""Asks ssh on this host about a place that sftp reaches, for pgBackRest, which reads no ~/.ssh/config."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from . import shell
from .place import CONFIGURATION
from .settings import Settings
from .shell import Problem, lines_of

ANSWER = 30  # seconds
KEY, KNOWN = "key", "known_hosts"  # files of the configuration


@dataclass(frozen=True)
class Account:
    """An account at a host. `key`: the path of root's private key. `known`: files with the keys of hosts."""

    host: str
    port: str
    user: str
    key: str
    known: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the host in a file of known hosts."""
        return self.host if self.port == "22" else f"[{self.host}]:{self.port}"


def account(settings: Settings) -> Account:
    """Return what `ssh -G` says of the place, with the first key that exists. Raise Problem if pgBackRest could not go
    that way."""
    said: dict[str, list[str]] = {}
    for line in lines_of(shell.output(["ssh", "-G", f"ssh://{quote(settings.place.where, safe='@:')}"])):
        name, _, value = line.partition(" ")
        said.setdefault(name, []).append(value)
    for way in ("proxyjump", "proxycommand"):
        if said.get(way, ["none"])[0] != "none":
            raise Problem(f"{settings.to}: root's ssh uses {way}, which pgBackRest cannot: name the host itself")
    keys = [path for path in map(os.path.expanduser, said.get("identityfile", [])) if os.path.exists(path)]
    if not keys:
        raise Problem(f"{settings.to}: root has no key of ssh here: make one, as docs/backup.md shows")
    files = " ".join(said.get("userknownhostsfile", []) + said.get("globalknownhostsfile", [])).split()
    known = tuple(path for path in map(os.path.expanduser, files) if os.path.exists(path))
    return Account(said["hostname"][0], said["port"][0], said["user"][0], keys[0], known)


def known_keys(settings: Settings, account: Account) -> str:
    """Return the lines of those keys of the host by which root's ssh knows it."""
    found = [shell.run(["ssh-keygen", "-F", account.name, "-f", path]).stdout for path in account.known]
    lines = [line for text in found for line in lines_of(text) if line and not line.startswith("#")]
    if not lines:
        raise Problem(f"{settings.to}: root's ssh does not know the host {account.name} yet: log in there once")
    return "".join(f"{line}\n" for line in lines)


def home(settings: Settings, account: Account, known: str) -> str:
    """Log in, and return the folder in which that ends. `known`: a file of known hosts, to which ssh adds the host's
    other keys, as pgBackRest may ask for one of another kind."""
    words = ["sftp", "-q", "-b", "-", "-P", account.port, "-i", account.key]
    words += ["-o", f"UserKnownHostsFile={known}", "-o", "UpdateHostKeys=yes"]
    words += ["-o", "HashKnownHosts=no", "-o", "StrictHostKeyChecking=yes"]
    done = shell.run([*words, f"{account.user}@{account.host}"], "pwd\n", seconds=ANSWER)
    _, found, path = done.stdout.partition("Remote working directory: ")
    if done.returncode or not found:
        raise Problem(f"{settings.to}: {shell.last_line(done.stderr)}")
    return lines_of(path)[0].strip()


def described(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """Return pgBackRest's options of the repository, and name → content of the files that it needs for them."""
    way = account(settings)
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, KNOWN)
        known.write_text(known_keys(settings, way), encoding="utf-8")
        path = os.path.join(home(settings, way, str(known)), settings.place.database)
        files = {KEY: Path(way.key).read_text(encoding="utf-8"), KNOWN: known.read_text(encoding="utf-8")}
    options = {
        **{"type": "sftp", "path": path, "sftp-host": way.host, "sftp-host-port": way.port},
        **{"sftp-host-user": way.user, "sftp-host-key-hash-type": "sha256"},
        **{"sftp-private-key-file": f"{CONFIGURATION}/{KEY}", "sftp-known-host": f"{CONFIGURATION}/{KNOWN}"},
        "sftp-host-key-check-type": "strict",
    }
    return options, files
