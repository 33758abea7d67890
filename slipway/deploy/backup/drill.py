"""A drill: restores the newest backup into a copy that is thrown away, and records what came back."""

from __future__ import annotations

import time
from typing import Any

from . import pgbackrest, points, postgres, restore, shell, state
from .copy import Copy
from .repository import Repository
from .settings import Settings
from .shell import Problem, say

SUBSET = "5%"  # of restic's data are read again each time
LATE = 60  # seconds before the end of the WAL for which migrations are not compared
ACTION = "drill"


def run(settings: Settings, repository: Repository, release: str = "") -> None:
    """Restore, count, compare; read the repository. Raise Problem if anything is not as it should be.

    `release`: the live release's migrations, such as "shop 0001_initial,shop 0002_note": as `migrate --check` there."""
    copy = Copy(settings, ACTION)
    with state.recorded(settings, ACTION) as record:
        wait_for_base(settings)
        began, now = time.time(), restore.shipped(settings, repository, ACTION)
        if not now:  # there was no base backup: then one has begun
            wait_for_base(settings)
            now = restore.shipped(settings, repository, ACTION)
        points.bring(settings, repository)
        try:
            made = copy.make(restore.chosen(settings, ACTION, "latest", now))
            record.update(rows=made["rows"], restored=made["seconds"])
            compare(settings, made, release, began)
        finally:
            copy.remove()
        say("checking the repository")
        pgbackrest.verify(settings, ACTION)
        if repository.is_made():
            repository.call("check", "--quiet", f"--read-data-subset={SUBSET}")
        say(f"{made['rows']:,} rows of {made['tables']} tables are back in {made['seconds']} s")


def wait_for_base(settings: Settings) -> None:
    """Wait while a base backup is made, such as the first one after provisioning."""
    asked = ["systemctl", "show", "--property=ActiveState", "--value", f"docker-backup-base@{settings.app}.service"]
    if shell.output(asked) == "activating":
        say("waiting for the base backup that is being made")
    while shell.output(asked) == "activating":
        time.sleep(1)


def compare(settings: Settings, made: dict[str, Any], release: str, began: float) -> None:
    """Compare what was restored with the living database. Raise Problem if it is not the same, or too old."""
    try:
        living = postgres.position(settings).timeline
    except Problem:
        say("the living database does not answer: not compared")
        return
    if made["timeline"] != living:
        raise Problem(f"the restored database is of timeline {made['timeline']}, the living one of {living}")
    check_migrations(settings, made, release)
    old = began - made["newest"]
    if old > 3 * settings.wal:
        raise Problem(
            f"the newest backup is {old:.0f} s old, although WAL goes to the repository each {settings.wal} s"
        )


def check_migrations(settings: Settings, made: dict[str, Any], release: str) -> None:
    """Compare with what the living database had by the restored one's newest change, and with what the live release
    needs. What the living one has besides came after the backup's end."""
    restored = made["migrations"]
    before = shell.lines_of(postgres.sql(settings, postgres.migrations(made["newest"] - LATE), settings.app))
    refuse_missing("were applied before", [name for name in before if name not in restored])
    if release:
        living = shell.lines_of(postgres.sql(settings, postgres.migrations(), settings.app))
        needed = release.split(",")
        refuse_missing("the live release needs", [name for name in needed if name not in [*restored, *living]])
        say(f"the live release finds its {len(needed)} migrations")


def refuse_missing(which: str, names: list[str]) -> None:
    if names:
        raise Problem(f"the restored database lacks migrations that {which}: {', '.join(names)}")
