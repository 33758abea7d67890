"""Restores the database beside the living one. Until a swap, that one serves on."""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
from typing import Any

from . import archive, branches, pgbackrest, points, postgres, state
from .branches import Event, Target
from .choice import Choice
from .copy import XMAX, Copy
from .pgbackrest import Seen
from .repository import Repository
from .settings import Settings
from .shell import Problem, say

ACTION = "restore"
HISTORY = "SELECT pg_read_file('pg_wal/{:08X}.history', true)"


def copy(settings: Settings) -> Copy:
    return Copy(settings, "restored")


def beside(settings: Settings, repository: Repository, at: str) -> None:
    """Restore `at` (see `chosen`) into a second container, with the newest changes if the living database answers."""
    with contextlib.suppress(Problem):
        points.bring(settings, repository)
    copy(settings).make(chosen(settings, ACTION, at, shipped(settings, repository, ACTION)))


def shipped(settings: Settings, repository: Repository, action: str, patience: int = archive.ARRIVE) -> bool:
    """Send what the living database has now. Return False if it is dead, or the place does not take it."""
    with contextlib.suppress(Problem):
        archive.ship(settings, repository, patience, action)
        return True
    return False


def chosen(settings: Settings, action: str, at: str, alive: bool) -> Choice:
    """Return what brings back `at`: "latest", "@" and seconds, a release's tag, or "before:" and its tag. `alive`: all
    that the living database has now was sent."""
    seen = pgbackrest.look(settings, action)
    target = aimed(settings, at, alive, seen)
    base = branches.base_for(target, seen.backups, seen.histories)
    sizes = branches.between(base.first, target, seen.files)
    own = [each for each in branches.segments(seen.files) if int(each[:8], 16) == target.timeline]
    end = max(map(branches.number, own), default=0) * branches.BYTES
    known = old_volume(settings, seen.system) if target.is_latest and not alive else ""
    return Choice(base, target, end, sum(sizes), len(sizes), known)


def aimed(settings: Settings, at: str, alive: bool, seen: Seen) -> Target:
    """Return where a restore of `at` ends, and on which branch."""
    known = points.load(settings)
    of_archive = [Event(seen.files[f"{timeline:08X}.history"]["time"], timeline) for timeline in seen.histories]
    events = branches.events(points.swaps(known), of_archive)
    if at == "latest" and alive:
        now = state.load(settings)[archive.ACTION]
        return Target(now["timeline"], lsn=now["lsn"])
    if at == "latest":
        return Target(branches.living(math.inf, events, seen.histories))
    if re.fullmatch(r"@\d+(\.\d+)?", at):
        moment = float(at[1:])
        if moment > time.time():
            raise Problem("that time is in the future")
        return Target(branches.living(moment, events, seen.histories), at=moment)
    point = points.named(known, at)
    return Target(point.timeline, lsn=point.lsn)


def old_volume(settings: Settings, system: str) -> str:
    """Return the dead database's volume if it is the one that the backups are of, else ""."""
    volume = settings.image["DATA"]
    if postgres.runs(settings):
        return ""
    with contextlib.suppress(Problem):
        if re.search(rf"^Database system identifier:\s+{system}$", copy(settings).control(volume), re.MULTILINE):
            return volume
    return ""


def tell(settings: Settings, repository: Repository) -> None:
    """Print what has been restored, as JSON, with the number of transactions that a swap would lose."""
    made = read(settings)
    told = {"lost": lost(settings, made), "release": release(settings, made), "now": time.time()}
    say(json.dumps({**made, **told}))


def read(settings: Settings) -> dict[str, Any]:
    """Return what has been restored. Raise Problem if nothing is there, or if that was interrupted."""
    made = copy(settings).read()
    if "rows" not in made:
        raise Problem("nothing has been restored: run slipway restore --at TIME")
    return made


def lost(settings: Settings, made: dict[str, Any]) -> int | None:
    """Return how many transactions the living database has made since, or since both branches parted; None if one of
    both does not answer, such as after a swap that was interrupted."""
    try:
        living = postgres.position(settings)
        way = branches.way(postgres.sql(settings, HISTORY.format(living.timeline)), living.timeline)
        of_copy = branches.way(copy(settings).sql(HISTORY.format(made["timeline"])), made["timeline"])
        restored = int(copy(settings).sql(XMAX))
    except Problem:
        return None
    parted = [timeline for timeline in way if timeline not in of_copy][:1]
    forks = [point.xmax for point in points.load(settings) if point.kind == "swap" and point.timeline in parted]
    return max(0, living.xmax - min([restored, *filter(None, forks)]))


def release(settings: Settings, made: dict[str, Any]) -> str:
    """Return the tag of the last release that was committed until then, or ""."""
    known = points.load(settings)
    tags = [point.tag for point in known if point.kind == "commit" and point.at <= made["newest"] + 1]
    return tags[-1] if tags else ""


def discard(settings: Settings, repository: Repository) -> None:
    """Remove the copy. If a swap has begun a timeline with it, that has an end now: the living one goes on."""
    begun = copy(settings).read().get("old")
    copy(settings).remove()
    if begun:
        points.add(settings, repository, "swap")
