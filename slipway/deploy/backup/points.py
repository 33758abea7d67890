"""Points in time with a release's name: just before it migrated, and its commit. They are lines of JSON in
/var/backups/APP/points, which go to the repository with the WAL."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from slipway.lasting import LockedOpen
from slipway.lasting.files import write_replace

from . import postgres
from .repository import Repository
from .settings import Settings
from .shell import Problem, lines_of

NAME = "points"  # of the file
MOST = 1000  # points that are kept


@dataclass(frozen=True)
class Point:
    """`kind`: "before" (it migrated) or "commit". `at`: seconds. `lsn`, `timeline`: the end of the WAL then."""

    kind: str
    tag: str
    at: float
    lsn: int
    timeline: int


def path(settings: Settings) -> str:
    return f"{settings.folder}/{NAME}"


def add(settings: Settings, repository: Repository, kind: str, tag: str) -> None:
    """Note that now is a point of the release `tag`."""
    position = postgres.position(settings)
    point = Point(kind, tag, position.at, position.lsn, position.timeline)
    settings.make_folder()
    with LockedOpen(f"{settings.folder}/points.lock", "a"):
        lines = [*read(path(settings)), json.dumps(asdict(point))][-MOST:]
        write_replace(path(settings), "".join(f"{line}\n" for line in lines), 0o600)


def read(path: str) -> list[str]:
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return lines_of(file.read())


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
    known = ", ".join(dict.fromkeys(point.tag for point in reversed(points[-20:])))
    raise Problem(f"no backup knows the release {tag}; it knows: {known or 'none'}")
