"""What visitors were answered, by nginx's log, and whether that has become worse. Only reading is not pure."""

from __future__ import annotations

import collections
import json
import math
import os
import re
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence

from .host import Host
from .http import AGENT
from .shapes import Answer

BEFORE = 2_000_000  # bytes of the log that tell how it was before
MOST = 4_000_000  # bytes that are read at a time
KNOWN = 10  # answers before, from which on a path has a share of its own
EACH = 5  # answers of one client that count on all other paths together
CLIENTS = 10_000  # that are told apart
MANY = 10  # clients before, from which on no single one decides
LEAST = 20  # answers, or errors of late, that are enough to judge by
LATE = 5  # seconds that are late
OTHER, DOWN, ALIKE = "other", "down", "alike"  # no paths: those begin with a slash
LAST = re.compile(r"(\d{3})\s*$")


def answers(text: bytes) -> Iterator[Answer]:
    """(client, path, whether it was an error) of each answer that the app gave or failed to give. What nginx answers by
    itself, our own questions, and visitors who did not wait are no answers of the app."""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            status = LAST.search(entry["app_status"])
            if status and entry["user_agent"] != AGENT and entry["status"] != 499:
                path = DOWN if entry["path"] == "/.maintenance.html" else entry["path"]
                yield entry["client"], path, int(status[1]) >= 500
        except (ValueError, KeyError, TypeError):
            continue


class Tally(collections.Counter[tuple[str, bool]]):
    """(path, whether it was an error) → how many. A path that is not `known` counts among the others, and there of each
    client a few answers alone: whoever invents paths, or asks for one that never worked, has no more to say."""

    def __init__(self, known: Collection[str] = (), seen: collections.Counter[str] | None = None) -> None:
        super().__init__()
        self.known: Collection[str] = known
        self.seen: collections.Counter[str] = collections.Counter() if seen is None else seen  # client → answers
        self.wrong: collections.Counter[str] = collections.Counter()  # client → errors
        self.usual: dict[str, float] = {}  # of a history: shares

    def count(self, found: Iterable[Answer]) -> Tally:
        """Count answers; itself."""
        for client, path, wrong in found:
            client = ":".join(client.split(":")[:4])  # of an IPv6 address, whose it is
            client = client if client in self.seen or len(self.seen) < CLIENTS else OTHER
            if path not in self.known and path != DOWN:
                path = OTHER
            self.seen[client] += path == OTHER
            if path != OTHER or self.seen[client] <= EACH:
                self[path, wrong] += 1
                self.wrong[client] += wrong
        return self

    def add(self, other: Tally) -> None:
        """Count what the other has counted."""
        self.update(other)
        self.wrong.update(other.wrong)


def history(found: Iterable[Answer]) -> Tally:
    """The Tally of how it was before: paths that were asked often enough are known."""
    found = list(found)
    often = collections.Counter(path for _, path, _ in found)
    before = Tally({path for path, count in often.items() if count >= KNOWN}).count(found)
    before.usual = shares(before)
    return before


def shares(before: Tally) -> dict[str, float]:
    """The share of errors of ALIKE, all paths together that err no more than chance makes of one share, and of each
    path that errs more; of what is DOWN it is that of all answers."""
    totals = {path: before[path, False] + before[path, True] for path, _ in list(before) if path != DOWN}
    found, wrong, total = {DOWN: before[DOWN, True] / max(1, sum(before.values()))}, 0, 0
    for path in sorted(totals, key=lambda path: before[path, True] / totals[path]):
        if total and before[path, True] > by_chance(totals[path] * wrong / total) + 2:
            found[path] = before[path, True] / totals[path]
        else:
            wrong, total = wrong + before[path, True], total + totals[path]
    return dict(found, **{ALIKE: wrong / max(1, total)})


def by_chance(expected: float) -> float:
    """How many there may well be where so many are expected."""
    return expected + 3 * math.sqrt(expected)


def excess(before: Tally, now: Tally) -> float:
    """How many errors there are beyond what chance makes of the shares of before. Where clients can be told apart, as
    there were many, those of the one with the most are left out: anybody may know how to make a release err."""
    errors: collections.Counter[str] = collections.Counter()
    answers: collections.Counter[str] = collections.Counter()
    for (path, wrong), count in now.items():
        group = path if path in before.usual else ALIKE
        errors[group] += wrong * count
        answers[group] += count
    answers[DOWN] = sum(now.values())  # anything may be
    most = max(now.wrong.values(), default=0) if len(before.seen) >= MANY else 0
    return sum(max(0.0, errors[group] - by_chance(answers[group] * before.usual[group])) for group in errors) - most


def worse(before: Tally, now: Tally, late: Tally, most: float) -> bool:
    """Whether visitors fare worse: of all answers, at least LEAST, or of the late ones, with at least LEAST errors,
    more than the share `most` are errors beyond those of before."""
    beyond, of_late = excess(before, now), excess(before, late)
    (total, _), (total_late, wrong_late) = counts(now), counts(late)
    return total >= LEAST and beyond > most * total or wrong_late >= LEAST and of_late > most * total_late


class Visitors:
    """The answers of this host's nginx from now on, against those before."""

    def __init__(self, host: Host) -> None:
        self.path = "%s/var/log/nginx/%s.access.log" % (host.root, host.app)
        self.inode, self.offset = where(self.path)
        self.start, self.now, self.good, self.lock = self.offset, Tally(), 0, threading.Lock()
        self.before: Tally | None = None
        self.late: list[tuple[int, Tally]] = []  # by the second

    def problem(self, most: float) -> str:
        """Count what is new; in a line what is wrong, or ""."""
        with self.lock:
            if self.before is None:  # it is read when visitors have come over: they need not wait for that
                self.before = history(answers(old(self.path, self.start)))
                self.now = Tally(self.before.known)
            self.add(self.before, list(answers(self.text())), int(time.monotonic()))
            late = Tally()
            for _, tally in self.late:
                late.add(tally)
            return self.told(self.before) if worse(self.before, self.now, late, most) else ""

    def add(self, before: Tally, found: Sequence[Answer], second: int) -> None:
        """Count answers that were given in a second."""
        tally = Tally(before.known, self.now.seen).count(found)
        self.good += sum(not wrong for _, _, wrong in found)
        self.now.add(tally)
        self.late = [(then, one) for then, one in self.late if then > second - LATE] + [(second, tally)]

    def text(self) -> bytes:
        """The whole lines that are new."""
        inode = where(self.path)[0]
        if inode != self.inode:  # turned over
            self.inode, self.offset = inode, 0
        text = read(self.path, self.offset)
        text = text[:text.rfind(b"\n") + 1]
        self.offset += len(text)
        return text

    def told(self, before: Tally) -> str:
        """What is wrong, in a line."""
        (total, wrong), (total_before, wrong_before) = self.counts(), counts(before)
        return "of %d answers to visitors %d were errors (before: %d of %d)" % (
            total, wrong, wrong_before, total_before)

    def counts(self) -> tuple[int, int]:
        """(answers, errors) from the beginning on."""
        return counts(self.now)


def counts(tally: Tally) -> tuple[int, int]:
    """(answers, errors)."""
    return sum(tally.values()), sum(count for (_, wrong), count in tally.items() if wrong)


def old(path: str, end: int) -> bytes:
    """What was logged before, the last of it; of the file before where this one has just been begun."""
    text = read(path, max(0, end - BEFORE), min(end, BEFORE))
    if end < BEFORE:
        size = where(path + ".1")[1]
        text = read(path + ".1", max(0, size - BEFORE + end)) + text
    return text


def where(path: str) -> tuple[int, int]:
    """(inode, size) of a file; zeros where there is none."""
    try:
        status = os.stat(path)
        return status.st_ino, status.st_size
    except OSError:
        return 0, 0


def read(path: str, offset: int, most: int = MOST) -> bytes:
    """So many bytes of a file at most, from an offset on; none where there is no file."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(most)
    except OSError:
        return b""
