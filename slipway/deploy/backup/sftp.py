"""What ssh on this host knows of a place that sftp reaches, for pgBackRest, which reads no ~/.ssh/config."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from . import shell
from .place import CONFIGURATION, Place
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
        """What a file of known hosts calls the host."""
        return self.host if self.port == "22" else f"[{self.host}]:{self.port}"


def account(settings: Settings, place: Place) -> Account:
    """Return what `ssh -G` says of the place, with the first key that exists. Raise Problem if pgBackRest could not go
    that way."""
    words = ["ssh", "-G", *(["-p", place.port] if place.port else []), *(["-l", place.user] if place.user else [])]
    said = parsed(shell.output([*words, place.where]))
    for way in ("proxyjump", "proxycommand"):
        if said.get(way, ["none"])[0] != "none":
            raise Problem(f"{settings.place}: root's ssh uses {way}, which pgBackRest cannot: name the host itself")
    keys = [path for path in map(os.path.expanduser, said.get("identityfile", [])) if os.path.exists(path)]
    if not keys:
        raise Problem(f"{settings.place}: root has no key of ssh here: make one, as docs/backup.md shows")
    files = " ".join(said.get("userknownhostsfile", []) + said.get("globalknownhostsfile", [])).split()
    known = tuple(path for path in map(os.path.expanduser, files) if os.path.exists(path))
    return Account(said["hostname"][0], said["port"][0], said["user"][0], keys[0], known)


def parsed(said: str) -> dict[str, list[str]]:
    """Return name → values of the lines of `ssh -G`."""
    values: dict[str, list[str]] = {}
    for line in lines_of(said):
        name, _, value = line.partition(" ")
        values.setdefault(name, []).append(value)
    return values


def known_keys(settings: Settings, account: Account) -> str:
    """Return the lines of those keys of the host by which root's ssh knows it."""
    found = [shell.run(["ssh-keygen", "-F", account.name, "-f", path]).stdout for path in account.known]
    lines = [line for text in found for line in lines_of(text) if line and not line.startswith("#")]
    if not lines:
        raise Problem(f"{settings.place}: root's ssh does not know the host {account.name} yet: log in there once")
    return "".join(f"{line}\n" for line in lines)


def home(settings: Settings, account: Account, known: str) -> str:
    """Log in, and return the folder in which that ends. `known`: a file of known hosts, to which ssh adds the host's
    other keys, as pgBackRest may ask for one of another kind."""
    words = ["sftp", "-q", "-b", "-", "-P", account.port, "-i", account.key]
    for option in (
        f"UserKnownHostsFile={known}",
        "UpdateHostKeys=yes",
        "HashKnownHosts=no",
        "StrictHostKeyChecking=yes",
    ):
        words += ["-o", option]
    done = shell.run([*words, f"{account.user}@{account.host}"], "pwd\n", seconds=ANSWER)
    _, found, path = done.stdout.partition("Remote working directory: ")
    if done.returncode or not found:
        raise Problem(f"{settings.place}: {shell.last_line(done.stderr)}")
    return lines_of(path)[0].strip()


def options(account: Account, path: str) -> Mapping[str, str]:
    """Return pgBackRest's options of a repository at this path of the host."""
    return {
        **{"type": "sftp", "path": path, "sftp-host": account.host, "sftp-host-port": account.port},
        **{"sftp-host-user": account.user, "sftp-host-key-hash-type": "sha256"},
        **{"sftp-private-key-file": f"{CONFIGURATION}/{KEY}", "sftp-known-host": f"{CONFIGURATION}/{KNOWN}"},
        "sftp-host-key-check-type": "strict",
    }
