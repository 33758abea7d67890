"""Removes what docker-backup has left where it was killed: containers that still work, copies that nobody waits for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from slipway.lasting import LockedOpen

from . import pgbackrest, shell
from .copy import Copy
from .settings import Settings
from .shell import Problem

LOCKS = "/run/docker-backup"


def lock_path(settings: Settings, action: str) -> str:
    return f"{LOCKS}/{settings.app}.{action}"


@contextlib.contextmanager
def alone(settings: Settings, action: str, seconds: float) -> Iterator[None]:
    """Wait for the end of another run of the same action, which uses the same container. Raise Problem after that."""
    os.makedirs(LOCKS, mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(LockedOpen(lock_path(settings, action), "a", timeout=seconds))
        except TimeoutError:
            raise Problem(f"another docker-backup {action} {settings.app} has run for {seconds:.0f} s") from None
        yield


def remove(settings: Settings) -> None:
    """Remove what is left of those actions that do not run. (Their own next run would, but may be far.)"""
    asked = [
        "docker",
        "ps",
        "--all",
        "--format",
        "{{.Names}}",
        "--filter",
        f"name=^{pgbackrest.container(settings, '')}",
    ]
    working = shell.lines_of(shell.run(asked, seconds=60).stdout)
    for action, name in (("base", ""), ("drill", "drill"), ("restore", "restored")):
        try:
            with LockedOpen(lock_path(settings, action), "a", timeout=0):
                if pgbackrest.container(settings, action) in working:
                    shell.run(["docker", "rm", "-f", pgbackrest.container(settings, action)], seconds=60)
                if name:
                    drop(Copy(settings, name))
        except (TimeoutError, FileNotFoundError):
            continue


def drop(copy: Copy) -> None:
    """Remove a copy, unless it is a whole one that waits for its swap."""
    made = copy.read()
    if made and (copy.name == "drill" or "rows" not in made):
        copy.remove()
