"""Tell how the app's backups on this host went, and note releases' points in time."""

from __future__ import annotations

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
    ""; `killed`: when the last run began, if it was killed. WAL: `until`: the last second that can be brought back;
    `since`: after this one none can, 0 if each can. Drill: `rows` that came back, in `restored` seconds."""

    at: NotRequired[Time]
    problem: str
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
    """The repository's contents. `lost_since`: between each two times no second can be brought back; None: until a base
    backup ends. `dumps`: when those of a database elsewhere were sent. `files`: when the newest files were. `now`: the
    time by this host's clock."""

    bases: list[Base]
    lost_since: list[tuple[Time, Time | None]]
    dumps: list[Time]
    files: Time | None
    now: Time


class Restored(TypedDict):
    """A restored database beside the living one. `newest`: when its last change was made. `lost`: the transactions that
    the living one has made since, None if unknown. `release`: the last release that was committed before, or ""."""

    newest: Time
    tables: int
    rows: int
    migrations: list[str]
    lost: int | None
    release: str
    now: Time


def collect(host: Host) -> Backups:
    text = disk.read(f"{host.root}/var/backups/{host.app}/state.json")
    try:
        runs: dict[str, Run] = json.loads(text or "{}")
    except ValueError as error:
        raise Problem(f"/var/backups/{host.app}/state.json is malformed: {error}") from None
    units = {action: f"docker-backup-{action}@{host.app}.timer" for action in ACTIONS}
    states = host.states(*units.values())
    return {
        "runs": {action: run for action, run in runs.items() if "problem" in run},
        "stopped": [action for action, unit in units.items() if states[unit].get("ActiveState") != "active"],
        "password_kept": os.path.exists(f"{host.etc}.backup.kept"),
        "now": time.time(),
    }


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
