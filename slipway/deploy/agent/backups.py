"""Tell how the app's backups on this host went, and note releases' points in time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import TypedDict

from . import disk
from .host import Host, Problem
from .message_types import Any, NotRequired, Time

ACTIONS = ("base", "wal", "files", "dump", "drill")  # what timers do; "prune" comes after "base" or "files"


class Run(TypedDict):
    """The outcome of an action of docker-backup. `at`: when it last succeeded; `problem`: why it has failed since, or
    ""; `killed`: when it began, if it was killed. WAL: `until`: the last second that can be brought back; `since`: if
    not 0, no second after it can be, as WAL is missing. Drill: `rows` that came back, in `restored` seconds."""

    at: NotRequired[Time]
    problem: str
    began: NotRequired[Time]
    ended: NotRequired[Time]
    killed: NotRequired[Time]
    until: NotRequired[Time]
    since: NotRequired[Time]
    rows: NotRequired[int]
    restored: NotRequired[Time]


class Backups(TypedDict):
    """`runs`: action → how it went. `stopped`: actions whose timer does not run. `password_kept`: True if somebody has
    shown to know the repository's password. `now`: the time by this host's clock."""

    runs: dict[str, Run]
    stopped: list[str]
    password_kept: bool
    now: Time


class Base(TypedDict):
    """A base backup: any second from `at` to `until` can be brought back."""

    at: Time
    until: Time
    bytes: float


class Listed(TypedDict):
    """The repository's contents. `dumps`: when those of a database elsewhere were sent. `files`: when the newest files
    were. `lost_since`: seconds between which nothing can be brought back; the second one is None until a base backup
    has ended. `now`: the time by this host's clock."""

    bases: list[Base]
    dumps: list[Time]
    files: Time | None
    lost_since: NotRequired[list[list[Time | None]]]
    now: Time


class Restored(TypedDict):
    """A restored database beside the living one. `newest`: when its last change was made. `timeline`: the number of its
    branch. `unlogged`: tables that came back empty. `lost`: the transactions that the living one has made since, None
    if unknown. `release`: the last release that was committed before, or ""."""

    newest: Time
    timeline: NotRequired[int]
    tables: int
    unlogged: NotRequired[int]
    rows: int
    migrations: list[str]
    lost: int | None
    release: str
    now: Time


def collect(host: Host) -> Backups:
    runs = recorded(host)
    units = {action: f"docker-backup-{action}@{host.app}.timer" for action in ACTIONS}
    states = host.states(*units.values())
    return {
        "runs": {name: told(host, name, run) for name, run in runs.items() if {"problem", "began"} & {*run}},
        "stopped": [action for action, unit in units.items() if states[unit].get("ActiveState") != "active"],
        "password_kept": os.path.exists(f"{host.etc}.backup.kept"),
        "now": time.time(),
    }


def recorded(host: Host) -> dict[str, Run]:
    """Return action → its record."""
    text = disk.read(f"{host.root}/var/backups/{host.app}/state.json")
    try:
        runs: dict[str, Run] = json.loads(text or "{}")
    except ValueError as error:
        raise Problem(f"/var/backups/{host.app}/state.json is malformed: {error}") from None
    return runs


def told(host: Host, action: str, run: Run) -> Run:
    """Return an action's record, which says so if its last run was killed."""
    whole: Run = {**run, "problem": run.get("problem", "")}
    if action in ACTIONS and was_killed(host, action, run):
        whole["killed"] = run["began"]
    return whole


def was_killed(host: Host, action: str, run: Run) -> bool:
    """Return True if a run has not ended, and does not run. It may end after its record was read, so read that again
    once nobody holds its lock."""
    if has_ended(run) or runs_now(host, action):
        return False
    last = recorded(host).get(action, run)
    return last.get("began") == run.get("began") and not has_ended(last)


def has_ended(run: Run) -> bool:
    return (run.get("began") or 0) <= (run.get("ended") or 0)


def runs_now(host: Host, action: str) -> bool:
    """Return True if docker-backup holds the action's lock."""
    with contextlib.suppress(FileNotFoundError), open(f"{host.root}/run/docker-backup/{host.app}.{action}") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def listed(host: Host) -> Listed:
    answer: Listed = ask_docker_backup(host, "list")
    return answer


def restored(host: Host) -> Restored:
    answer: Restored = ask_docker_backup(host, "restored")
    return answer


def ask_docker_backup(host: Host, action: str) -> Any:
    return json.loads(host.call("docker-backup", action, host.app, timeout=300).stdout)


def point(host: Host, kind: str, tag: str) -> None:
    """Note that now is "before" a release's migrations, or its "commit": a restore may go back to it."""
    host.call("docker-backup", "point", host.app, kind, tag, timeout=20)
