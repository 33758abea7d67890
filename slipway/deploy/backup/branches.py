"""The branches of the database's life. Each swap begins one: a timeline. A moment belongs to the one that lived then,
and a restore begins with a backup on its way. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import NamedTuple

from .shell import Problem, told

SEGMENT = re.compile(r"[0-9A-F]{24}")
BYTES = 16 << 20  # of a segment
PER_FILE = 256  # segments of 16 MB have names whose last part counts to this number
WAITING = 512 << 20  # bytes of WAL that a recovery keeps on its disk, at most


@dataclass(frozen=True)
class Backup:
    """A backup of the repository. `at`: its end, in seconds; `lsn`: its end in the WAL; `first`: the segment with which
    a restore of it begins; `bytes`: of its files."""

    label: str
    kind: str  # full, diff, incr
    at: float
    first: str
    lsn: int
    bytes: int

    @property
    def timeline(self) -> int:
        return int(self.first[:8], 16)


class Event(NamedTuple):
    """From `at` on, in seconds, this timeline lived."""

    at: float
    timeline: int


@dataclass(frozen=True)
class Target:
    """The end of a restore: a time in seconds, or an LSN, on a timeline. Neither: all that is there."""

    timeline: int
    at: float | None = None
    lsn: int | None = None

    @property
    def is_latest(self) -> bool:
        return self.at is None and self.lsn is None


@dataclass(frozen=True)
class Choice:
    """The aim of a restore. `end`: the last segment that the archive has on this way, for a target that is all
    there is. `wal`: the bytes of the `segments` on the way, in the archive. `known`: the volume of a dead database,
    which may have more."""

    base: Backup
    target: Target
    end: int
    wal: int
    segments: int
    known: str = ""

    def options(self) -> list[str]:
        """Return the words of `pgbackrest restore`. LSN: without what begins there, which is later than the point."""
        words = [f"--set={self.base.label}", f"--target-timeline={self.target.timeline}", "--archive-mode=off"]
        if self.target.lsn is not None:
            return [*words, "--type=lsn", f"--target={text_of(self.target.lsn)}", "--target-exclusive"]
        if self.target.at is not None:
            at = datetime.fromtimestamp(self.target.at, timezone.utc)
            return [*words, "--type=time", f"--target={at:%Y-%m-%d %H:%M:%S.%f}+00"]
        return [*words, "--type=standby"]

    @property
    def bytes(self) -> int:
        """The disk's bytes that a restore of this may need: the files, what the WAL adds, and some WAL itself."""
        return int(self.base.bytes * 1.05) + 4 * self.wal + min(self.segments * BYTES, WAITING) + (64 << 20)


def lsn_of(text: str) -> int:
    """Return an LSN such as "16/B374D848" as a number of bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def text_of(lsn: int) -> str:
    """Return an LSN as Postgres writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def ancestors(history: str) -> dict[int, int]:
    """Return timeline → the LSN at which it was left, of those that a timeline's history names, oldest first."""
    found = re.findall(r"^(\d+)\s+([0-9A-F]+/[0-9A-F]+)", history, re.MULTILINE)
    return {int(timeline): lsn_of(lsn) for timeline, lsn in found}


def events(swaps: Iterable[Event], seen: Iterable[Event]) -> list[Event]:
    """Return what lived when, oldest first. `swaps`: those on record; `seen`: when the archive got each timeline's
    history, which counts for those that no record names, as of a lost server."""
    known = list(swaps)
    named = {event.timeline for event in known}
    return sorted([*known, *(event for event in seen if event.timeline not in named)])


def living(at: float, known: Sequence[Event], histories: Mapping[int, str]) -> int:
    """Return the timeline that lived at a time in seconds."""
    past = [event.timeline for event in known if event.at <= at]
    if past:
        return past[-1]
    first = known[0].timeline if known else max(histories, default=1)
    return next(reversed(ancestors(histories.get(first, ""))), first) if known else first


def base_for(target: Target, backups: Sequence[Backup], histories: Mapping[int, str]) -> Backup:
    """Return the newest backup that ended before the target, on the way to it. Raise Problem if there is none."""
    if not backups:
        raise Problem("the repository has no base backup")
    left = ancestors(histories.get(target.timeline, ""))
    # Of an older timeline: what ended before that was left for this one.
    on_way = [each for each in backups if each.timeline == target.timeline or each.lsn <= left.get(each.timeline, 0)]
    fitting = [backup for backup in on_way if is_before(backup, target)]
    if not fitting:
        oldest = min(backup.at for backup in on_way or backups)
        raise Problem(f"the oldest base backup of then ended at {told(oldest)}: choose a later time")
    return max(fitting, key=lambda backup: (backup.timeline, backup.lsn))


def is_before(backup: Backup, target: Target) -> bool:
    if target.lsn is not None:
        return backup.timeline != target.timeline or backup.lsn <= target.lsn
    return target.at is None or backup.at <= target.at


# ---- segments of WAL ----


def number(name: str) -> int:
    """Return the number of a segment in its timeline."""
    return int(name[8:16], 16) * PER_FILE + int(name[16:24], 16)


def name(timeline: int, number: int) -> str:
    return f"{timeline:08X}{number // PER_FILE:08X}{number % PER_FILE:08X}"


def segments(names: Iterable[str]) -> set[str]:
    """Return those names, without their checksums, that are whole segments'."""
    return {each[:24] for each in names if SEGMENT.match(each) and each[24:25] in ("", "-")}


def is_whole(first: str, last: str, archived: set[str]) -> bool:
    """Return True if no segment is missing from the first one to the last one, of one timeline."""
    return all(name(int(first[:8], 16), each) in archived for each in range(number(first), number(last) + 1))


def first_gap(first: str, timeline: int, history: str, archived: set[str]) -> str:
    """Return the first segment that is missing between `first` and the end of a timeline's archive, or ""."""
    left = {each: lsn // BYTES for each, lsn in ancestors(history).items()}
    current, count = int(first[:8], 16), number(first)
    end = max((number(each) for each in archived if int(each[:8], 16) == timeline), default=0)
    while current != timeline or count <= end:
        while current != timeline and count >= left.get(current, 0):  # the next one has the rest of this segment
            current = min((each for each in [*left, timeline] if each > current), default=timeline)
        if name(current, count) not in archived:
            return name(current, count)
        count += 1
    return ""


def between(first: str, timeline: int, archived: Mapping[str, Mapping[str, int]]) -> list[int]:
    """Return the sizes in the archive of the segments from `first` on that a restore may have to read."""
    names = [each for each in archived if SEGMENT.match(each) and each >= first and int(each[:8], 16) <= timeline]
    return [archived[each]["size"] for each in names]
