"""A drill: restores the newest backup into a copy that is thrown away, and records what came back."""

from __future__ import annotations

import math
import time
from typing import Any

from . import postgres, shell, state
from .choice import Target, choose
from .copy import Copy
from .repository import Repository
from .settings import Settings
from .shell import Problem, say

SUBSET = "5%"  # of the repository's data are read again each time
LATE = 60  # seconds before the end of the WAL for which migrations are not compared


def run(settings: Settings, repository: Repository, release: str = "") -> None:
    """Restore, count, compare; check a part of the repository. Raise Problem if anything is not as it should be.

    `release`: the live release's migrations, such as "shop 0001_initial,shop 0002_note": as `migrate --check` there."""
    copy = Copy(settings, "drill")
    wait_for_base(settings)
    with state.recorded(settings, "drill") as record:
        choice = choose(repository.snapshots(kind="base"), repository.snapshots(kind="wal"), Target())
        began = time.time()
        try:
            made = copy.make(repository, choice)
            record.update(rows=made["rows"], tables=made["tables"], restored=made["seconds"])
            check_migrations(settings, made, release)
        finally:
            copy.remove()
        check_age(settings, made["until"], began)
        say("checking the repository")
        repository.call("check", "--quiet", f"--read-data-subset={SUBSET}")
        say(f"{made['rows']:,} rows of {made['tables']} tables are back in {made['seconds']} s")


def wait_for_base(settings: Settings) -> None:
    """Wait while a base backup is made, such as the first one after provisioning."""
    asked = ["systemctl", "show", "--property=ActiveState", "--value", f"docker-backup-base@{settings.app}.service"]
    if shell.output(asked) == "activating":
        say("waiting for the base backup that is being made")
    while shell.output(asked) == "activating":
        time.sleep(1)


def check_migrations(settings: Settings, made: dict[str, Any], release: str) -> None:
    """Compare with what the living database had by then, and with what the live release needs."""
    restored, needed = made["migrations"], [name for name in release.split(",") if name]
    before, now = [applied(settings, until) for until in (made["until"] - LATE, math.inf)]
    missing = [name for name in before if name not in restored]
    if missing:
        raise Problem(f"the restored database lacks migrations that were applied before: {', '.join(missing)}")
    later = [name for name in now if name not in before]
    missing = [name for name in needed if name not in [*restored, *later]]
    if missing:
        raise Problem(f"the restored database lacks migrations that the live release needs: {', '.join(missing)}")
    if needed:
        say(f"the live release finds its {len(needed)} migrations")


def applied(settings: Settings, until: float) -> list[str]:
    """Return the migrations that the living database had at a time in seconds."""
    return postgres.sql(settings, postgres.migrations(until), settings.app).splitlines()


def check_age(settings: Settings, until: float, began: float) -> None:
    old = began - until
    if old > 3 * settings.wal:
        raise Problem(
            f"the newest backup is {old:.0f} s old, although WAL goes to the repository each {settings.wal} s"
        )
