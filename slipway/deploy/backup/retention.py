"""Forgets what is too old in the repository."""

from __future__ import annotations

import time

from . import state
from .choice import lsn
from .repository import Repository, Snapshot
from .settings import Settings

KEEP = {"d": "--keep-daily", "w": "--keep-weekly", "m": "--keep-monthly"}
DAY = 86400


def prune_daily(settings: Settings, repository: Repository) -> None:
    """Prune if that was not done for a day. Of several hosts with one repository, one prunes."""
    last = state.load(settings).get("prune", {}).get("at", 0)
    if settings.prunes and time.time() - last > DAY:
        prune(settings, repository)


def prune(settings: Settings, repository: Repository) -> None:
    with state.recorded(settings, "prune"):
        forget(settings, repository)


def forget(settings: Settings, repository: Repository) -> None:
    """Forget what [backup] does not keep, and give its space free. A repository that only grows keeps all."""
    if settings.keep == "all":
        return
    days = [f"--keep-within={settings.any_second + 1}d"]  # with the base backup before the first second
    older = [f"{KEEP[term[-1]]}={term[:-1]}" for term in settings.keep.split()]
    for kind in ("base", "dump"):
        repository.forget(kind, [*days, *older])
    if superseded := older_of_same_base(repository.snapshots(kind="wal")):
        repository.call("forget", "--quiet", *superseded)
    repository.forget("wal", days)
    repository.forget("files", ["--keep-within=1d", f"--keep-within-hourly={settings.any_second}d", *older])
    repository.call("prune", "--quiet")


def older_of_same_base(snapshots: list[Snapshot]) -> list[str]:
    """Return the ids of those WAL snapshots whose base backup has a newer one, which has all that they have."""
    newest = {snapshot.tags["base"]: snapshot.id for snapshot in sorted(snapshots, key=lsn)}
    return [snapshot.id for snapshot in snapshots if snapshot.id not in newest.values()]
