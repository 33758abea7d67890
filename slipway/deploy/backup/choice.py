"""Chooses what a restore brings back: a base backup, the WAL since then, and where to stop. Does no I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from . import postgres
from .points import Point
from .repository import Snapshot
from .shell import Problem


@dataclass(frozen=True)
class Target:
    """The end of a restore: a time in seconds, or the LSN of a release's point. Neither: all that is there."""

    at: float | None = None
    point: Point | None = None

    def options(self) -> list[str]:
        """Return Postgres' settings of recovery. LSN: without what begins there, which is later than the point."""
        if self.point:
            return [f"recovery_target_lsn={postgres.text(self.point.lsn)}", "recovery_target_inclusive=off"]
        if self.at is not None:
            return [f"recovery_target_time={datetime.fromtimestamp(self.at, timezone.utc).isoformat()}"]
        return []


@dataclass(frozen=True)
class Choice:
    """`wal`: None if the repository has no WAL for the base backup, which then ends where its copy ended."""

    base: Snapshot
    wal: Snapshot | None
    target: Target

    @property
    def until(self) -> float:
        """The last second, in seconds, that this choice can bring back."""
        return float(self.wal.tags["until"] if self.wal else self.base.tags["at"])


def newest_before(snapshots: Sequence[Snapshot], at: str) -> Snapshot | None:
    """Return the newest snapshot of `at`: "latest", or a time in seconds."""
    moment = math.inf if at == "latest" else float(at)
    return next((snapshot for snapshot in reversed(snapshots) if snapshot.at <= moment), None)


def choose(bases: Sequence[Snapshot], wals: Sequence[Snapshot], target: Target) -> Choice:
    """Return the newest base backup before the target, with the newest WAL since. Raise Problem if there is none."""
    if not bases:
        raise Problem("the repository has no base backup")
    fitting = [base for base in bases if reaches(base, target)]
    if not fitting:
        oldest = datetime.fromtimestamp(float(bases[0].tags["at"]))
        raise Problem(f"the oldest base backup is of {oldest:%Y-%m-%d %H:%M:%S}: choose a later time")
    same = [base for base in fitting if base.tags["system"] == fitting[-1].tags["system"]]
    base = max(same, key=progress)
    choice = Choice(base, newest_wal(base, wals), target)
    if base != max(bases, key=progress):
        check_reach(choice)
    return choice


def newest_wal(base: Snapshot, wals: Sequence[Snapshot]) -> Snapshot | None:
    """Return the WAL snapshot that has all that was sent since a base backup, None if none was."""
    of_base = [wal for wal in wals if wal.tags["base"] == base.tags["base"]]
    return max(of_base, key=lsn) if of_base else None


def check_reach(choice: Choice) -> None:
    """Raise Problem if the repository has lost what leads from an older base backup to the target."""
    point, at = choice.target.point, choice.target.at
    end = lsn(choice.wal or choice.base)
    if (at is not None and at > choice.until) or (point and point.lsn > end):
        until = datetime.fromtimestamp(choice.until)
        raise Problem(
            f"what came after {until:%Y-%m-%d %H:%M:%S} is not kept any more: choose that time, or a later one"
        )


def progress(base: Snapshot) -> tuple[int, int]:
    """Return what orders the base backups of a database: not their times, as a clock may be set back."""
    return int(base.tags["timeline"]), lsn(base)


def lsn(snapshot: Snapshot) -> int:
    return int(snapshot.tags["lsn"])


def reaches(base: Snapshot, target: Target) -> bool:
    """Return True if the base backup ended before the target."""
    if target.point:
        return lsn(base) <= target.point.lsn and int(base.tags["timeline"]) == target.point.timeline
    return target.at is None or float(base.tags["at"]) <= target.at
