"""Forgets what is too old of the files and dumps in restic's repository. pgBackRest forgets its own."""

from __future__ import annotations

import time

from . import state
from .repository import Repository
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
    older = [f"{KEEP[term[-1]]}={term[:-1]}" for term in settings.keep.split()]
    repository.forget("dump", [f"--keep-within={settings.any_second + 1}d", *older])
    repository.forget("files", ["--keep-within=1d", f"--keep-within-hourly={settings.any_second}d", *older])
    repository.forget("points", ["--keep-last=3"])
    repository.call("prune", "--quiet")
