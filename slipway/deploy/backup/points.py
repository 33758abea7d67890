"""Points in time with a name: just before a release migrated, its commit, and each swap, with which a timeline began.
They are lines of JSON in /var/backups/APP/points, which go to restic's repository when they have changed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from slipway.lasting import LockedOpen
from slipway.lasting.files import write_replace

from . import postgres, state
from .repository import Repository
from .settings import Settings
from .shell import Problem, lines_of

NAME = "points"  # of the file


@dataclass(frozen=True)
class Point:
    """`kind`: "before" (it migrated), "commit" or "swap". `at`: seconds. `lsn`, `timeline`: the end of the WAL then.
    `xmax`: the id of the next transaction then."""

    kind: str
    tag: str
    at: float
    lsn: int
    timeline: int
    xmax: int = 0


def path(settings: Settings) -> str:
    return f"{settings.folder}/{NAME}"


def add(settings: Settings, repository: Repository, kind: str, tag: str = "") -> Point:
    """Note that now is a point of the release `tag`, or that from now on another timeline lives. Return the point."""
    position = postgres.heartbeat(settings)
    point = Point(kind, tag, position.at, position.lsn, position.timeline, position.xmax)
    with LockedOpen(f"{settings.folder}/points.lock", "a"):
        lines = [*read(path(settings)), json.dumps(asdict(point))]
        write_replace(path(settings), "".join(f"{line}\n" for line in lines), 0o600)
    return point


def read(path: str) -> list[str]:
    return lines_of(Path(path).read_text(encoding="utf-8")) if os.path.exists(path) else []


def load(settings: Settings) -> list[Point]:
    return [Point(**json.loads(line)) for line in read(path(settings))]


def named(points: Sequence[Point], name: str) -> Point:
    """Return the newest point of "build-42" (its commit, or else just before it migrated) or "before:build-42"."""
    before, _, tag = name.rpartition(":")
    kinds = ["before"] if before else ["commit", "before"]
    for kind in kinds:
        for point in reversed(points):
            if (point.kind, point.tag) == (kind, tag):
                return point
    known = ", ".join(dict.fromkeys(point.tag for point in reversed(points[-20:]) if point.tag))
    raise Problem(f"no backup knows the release {tag}; it knows: {known or 'none'}")


# ---- in the repository ----


def send(settings: Settings, repository: Repository) -> None:
    """Send the points, if they have changed since."""
    changed = os.path.getmtime(path(settings)) if os.path.exists(path(settings)) else None
    if changed and changed != state.of(settings, "points").get("changed"):
        repository.backup([NAME], "points", settings.folder)
        state.save(settings, "points", changed=changed)


def bring(settings: Settings, repository: Repository) -> None:
    """Bring the points of a lost server here, if it has sent some."""
    sent = repository.snapshots("points")
    if sent and not os.path.exists(path(settings)):
        write_replace(path(settings), repository.call("dump", sent[-1].id, f"/{NAME}"), 0o600)
