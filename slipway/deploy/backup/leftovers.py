"""Removes what docker-backup has left where it was killed: containers that still work, copies that nobody waits for."""

from __future__ import annotations

import contextlib

from slipway.lasting import LockedOpen

from . import pgbackrest, shell
from .copy import Copy
from .settings import Settings

LOCKS = "/run/docker-backup"


def lock_path(settings: Settings, action: str) -> str:
    return f"{LOCKS}/{settings.app}.{action}"


def remove(settings: Settings) -> None:
    """Remove what is left of those actions that do not run. (Their own next run would, but may be far.) A whole copy
    waits for its swap, unless it is a drill's."""
    for name in ("base", "drill", "restored"):
        lock = LockedOpen(lock_path(settings, name), "a", timeout=0)
        with contextlib.suppress(TimeoutError, FileNotFoundError), lock:
            shell.remove_containers(pgbackrest.container(settings, name))
            made = Copy(settings, name).read()
            if made and (name == "drill" or "rows" not in made):
                Copy(settings, name).remove()
