"""An app's snapshots in a restic repository. Each has a tag such as kind=files; `--host` is the app, so that a new
server finds those of the old one, and several apps may share a repository."""

from __future__ import annotations

import json
import math
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from subprocess import CompletedProcess
from typing import IO

from . import place, shell, state
from .settings import Settings
from .shell import Problem, lines_of

LOCKED = "already locked"
PATIENCE = 900  # seconds to wait while another host prunes the repository
PAUSE = 5
# Seconds for what takes a place that works some: others may have much to send.
ANSWERS = {"cat": 120, "snapshots": 120, "unlock": 120, "init": 300}
LOOK = 1  # second between looks for a repository that another host makes
MISSING = re.compile("unable to open config file|Is there a repository at")
CURES = (
    (re.compile("wrong password"), "type it by slipway backup --password"),
    (MISSING, "if it is lost, slipway backup --new makes another one"),
)
VANISHED = re.compile("no such file or directory")
KEEP = {"d": "--keep-daily", "w": "--keep-weekly", "m": "--keep-monthly"}
DAY = 86400
CACHE = "/var/cache/docker-backup"
# Runs a program under another host name, which comes next.
AS_HOST = ("unshare", "--uts", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh")
# So that visitors do not feel it: one CPU, and less memory for more CPU time.
SPARING = {"GOMAXPROCS": "1", "GOGC": "50"}


@dataclass(frozen=True)
class Snapshot:
    """`id`: restic's. `at`: when it was made, in seconds."""

    id: str
    at: float


@dataclass(frozen=True)
class Repository:
    """The app's part of the repository."""

    settings: Settings

    def call(self, *words: str, cwd: str | None = None, shown: bool = False, out: IO[bytes] | None = None) -> str:
        """Run restic; return what it prints, or write that to `out`. Wait while the repository is locked. Raise Problem
        if it fails."""
        until = time.monotonic() + PATIENCE
        while True:
            done = self._run(words, cwd, shown, out)
            if is_whole(done):
                return done.stdout or ""
            if LOCKED not in done.stderr or time.monotonic() > until:
                raise self._problem(done.stderr)
            self._run(["unlock"])  # removes locks of this host's dead processes, and others' that are not renewed
            time.sleep(PAUSE)

    def _run(
        self, words: Sequence[str], cwd: str | None = None, shown: bool = False, out: IO[bytes] | None = None
    ) -> CompletedProcess[str]:
        env = {**SPARING, **self.settings.keys, "RESTIC_REPOSITORY": place.of_files(self.settings.to)}
        command = [*AS_HOST, host_name(), "restic", "--cache-dir", CACHE, *words]
        seconds = ANSWERS.get(words[0], math.inf)
        return shell.run(command, env=env, cwd=cwd, seconds=seconds, shown=shown, out=out, name=f"restic {words[0]}")

    def is_made(self) -> bool:
        """Return False if there is no repository yet. Raise Problem if it does not answer, or has another password."""
        done = self._run(["cat", "config"])
        if done.returncode and not MISSING.search(done.stderr):
            raise self._problem(done.stderr)
        return not done.returncode

    def _problem(self, stderr: str) -> Problem:
        cures = [f": {cure}" for words, cure in CURES if words.search(stderr)]
        return Problem(f"{self.settings.to}: {cause(stderr)}{''.join(cures)}")

    def make_if_missing(self, patience: float = 0) -> None:
        """Make the repository if it is missing, and another host has not made it within `patience` seconds."""
        until = time.monotonic() + patience
        while not self.is_made():
            if time.monotonic() >= until:
                self.call("init")
                return
            time.sleep(LOOK)

    def backup(self, paths: Sequence[str], kind: str, cwd: str | None = None, shown: bool = False) -> None:
        """Keep `paths`, which may be relative to `cwd`. Raise Problem if one of their files cannot be read. Files that
        were removed meanwhile are no failure. `shown`: let restic show its progress."""
        words = ["backup", "--host", self.settings.app, "--tag", f"kind={kind}", *paths]
        self.call(*words, cwd=cwd, shown=shown)

    def snapshots(self, kind: str) -> list[Snapshot]:
        """Return the app's snapshots of a kind, oldest first."""
        said = self.call("snapshots", "--json", "--host", self.settings.app, "--tag", f"kind={kind}")
        found = [Snapshot(entry["id"], seconds(entry["time"])) for entry in json.loads(said) or []]
        return sorted(found, key=lambda snapshot: snapshot.at)

    def prune(self) -> None:
        """Forget what [backup] does not keep of files and dumps, and give its space free. A repository that only grows
        keeps all. (pgBackRest forgets its own.)"""
        settings = self.settings
        with state.recorded(settings, "prune"):
            if settings.keep == "all":
                return
            older = [f"{KEEP[term[-1]]}={term[:-1]}" for term in settings.keep.split()]
            policies = {
                "dump": [f"--keep-within={settings.any_second + 1}d", *older],
                "files": ["--keep-within=1d", f"--keep-within-hourly={settings.any_second}d", *older],
                "points": ["--keep-last=3"],
            }
            for kind, policy in policies.items():
                words = ["forget", "--quiet", "--host", settings.app, "--tag", f"kind={kind}", "--group-by", "host"]
                self.call(*words, *policy)
            self.call("prune", "--quiet")

    def prune_daily(self) -> None:
        """Prune if that was not done for a day. Of several hosts with one repository, one prunes."""
        if self.settings.prunes and time.time() - state.of(self.settings, "prune").get("at", 0) > DAY:
            self.prune()


def seconds(text: str) -> float:
    """Return the time of a text such as "2026-11-28T03:00:00.123456789+01:00" in seconds."""
    match = re.fullmatch(r"(.{19})(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if not match:
        raise Problem(f"restic printed a time that this program cannot read: {text}")
    return datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).timestamp() + float(match[2] or 0)


def host_name() -> str:
    """Return this host's name with the machine's id, in at most 64 characters. By it restic knows which locks its own
    dead processes have left: of two servers with one name it would remove the other's."""
    with open("/etc/machine-id", encoding="ascii") as file:
        return f"{socket.gethostname()[:31]}-{file.read().strip()}"


def is_whole(done: CompletedProcess[str]) -> bool:
    """Return True if restic has done its work. A backup is whole if it lacks only files that have gone meanwhile:
    restic exits by 3 then."""
    errors = [line for line in lines_of(done.stderr) if line.startswith("error:")]
    return not done.returncode or (done.returncode == 3 and all(map(VANISHED.search, errors)))


def cause(text: str) -> str:
    """Return the line of restic's output that says why it failed."""
    lines = [line.strip() for line in lines_of(text) if line.strip()]
    fatal = [line.removeprefix("Fatal: ") for line in lines if line.startswith("Fatal: ")]
    told = [line for line in lines if line.startswith(("subprocess ssh:", "ssh:"))]
    return " / ".join([*told[:1], *fatal[:1]] or lines[-1:] or ["restic failed, and printed nothing"])
