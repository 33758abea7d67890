"""What visitors were answered, by nginx's log, and whether that has become worse. All but the reading is pure."""

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
KNOWN = 10  # a path with so many answers before is known: it has a share of errors of its own
EACH = 5  # answers that count of one client on all other paths together
CLIENTS = 10_000  # clients that are told apart
MANY = 10  # where there were so many clients before, no single one decides
LEAST = 20  # answers, or recent errors, that are enough to judge by
RECENT = 5  # seconds: answers of the last ones are judged by themselves, too
OTHER, DOWN, ALIKE = "other", "down", "alike"  # no paths: those begin with a slash
LAST = re.compile(r"(\d{3})\s*$")


def answers(text: bytes) -> Iterator[Answer]:
    """(client, path, whether it was an error) of each answer that the app gave or failed to give, by nginx's log. Not
    of answers of nginx itself, answers to the agent, and those that a visitor did not wait for."""
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
    """(path, whether it was an error) → how many. Paths that are not `known` count together as OTHER, and there only
    EACH answers of a client: so nobody can make a release look bad by inventing paths."""

    def __init__(self, known: Collection[str] = (), seen: collections.Counter[str] | None = None) -> None:
        super().__init__()
        self.known: Collection[str] = known
        self.seen: collections.Counter[str] = collections.Counter() if seen is None else seen  # client → answers
        self.wrong: collections.Counter[str] = collections.Counter()  # client → errors
        self.usual: dict[str, float] = {}  # of a history: shares

    def count(self, found: Iterable[Answer]) -> Tally:
        """Count answers, and return the Tally."""
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

    def counts(self) -> tuple[int, int]:
        """(answers, errors)."""
        return sum(self.values()), sum(count for (_, wrong), count in self.items() if wrong)


def history(found: Iterable[Answer]) -> Tally:
    """The Tally of answers before the flip: paths that were asked often enough are known."""
    found = list(found)
    often = collections.Counter(path for _, path, _ in found)
    before = Tally({path for path, count in often.items() if count >= KNOWN}).count(found)
    before.usual = shares(before)
    return before


def shares(before: Tally) -> dict[str, float]:
    """Group → its share of errors. Paths whose errors chance can explain by one common share are the group ALIKE; each
    path that errs more is a group. The share of DOWN is that of all answers."""
    totals = {path: before[path, False] + before[path, True] for path, _ in list(before) if path != DOWN}
    found, wrong, total = {DOWN: before[DOWN, True] / max(1, sum(before.values()))}, 0, 0
    for path in sorted(totals, key=lambda path: before[path, True] / totals[path]):
        if total and before[path, True] > by_chance(totals[path] * wrong / total) + 2:
            found[path] = before[path, True] / totals[path]
        else:
            wrong, total = wrong + before[path, True], total + totals[path]
    return dict(found, **{ALIKE: wrong / max(1, total)})


def by_chance(expected: float) -> float:
    """How many errors chance may well make where so many are expected."""
    return expected + 3 * math.sqrt(expected)


def excess(before: Tally, now: Tally) -> float:
    """How many errors there are beyond what chance makes of the shares before. Where there were many clients, the
    errors of the client with the most are left out: one may know how to make a release err."""
    errors: collections.Counter[str] = collections.Counter()
    answers: collections.Counter[str] = collections.Counter()
    for (path, wrong), count in now.items():
        group = path if path in before.usual else ALIKE
        errors[group] += wrong * count
        answers[group] += count
    answers[DOWN] = sum(now.values())  # any answer may be of that kind
    most = max(now.wrong.values(), default=0) if len(before.seen) >= MANY else 0
    return sum(max(0.0, errors[group] - by_chance(answers[group] * before.usual[group])) for group in errors) - most


def worse(before: Tally, now: Tally, recent: Tally, most: float) -> bool:
    """Whether more than the share `most` of the answers are errors beyond those of before: of all answers, if there
    are LEAST, or of the recent ones, if LEAST of them are errors."""
    (total, _), (total_recent, wrong_recent) = now.counts(), recent.counts()
    return (total >= LEAST and excess(before, now) > most * total
            or wrong_recent >= LEAST and excess(before, recent) > most * total_recent)


class Visitors:
    """The answers of this host's nginx from now on, to be compared with those before."""

    def __init__(self, host: Host) -> None:
        self.path = "%s/var/log/nginx/%s.access.log" % (host.root, host.app)
        self.inode, self.offset = inode_and_size(self.path)
        self.start, self.now, self.good_answers, self.lock = self.offset, Tally(), 0, threading.Lock()
        self.before: Tally | None = None
        self.recent: list[tuple[int, Tally]] = []  # by the second

    def problem(self, most: float) -> str:
        """Count new answers. What is wrong where the share `most` is exceeded, in a line; else ""."""
        with self.lock:
            if self.before is None:  # read after the flip, which need not wait for it
                self.before = history(answers(text_before(self.path, self.start)))
                self.now = Tally(self.before.known)
            self.add(self.before, list(answers(self.new_lines())), int(time.monotonic()))
            recent = Tally()
            for _, tally in self.recent:
                recent.add(tally)
            if not worse(self.before, self.now, recent, most):
                return ""
            (total, wrong), (total_before, wrong_before) = self.now.counts(), self.before.counts()
            return "of %d answers to visitors %d were errors (before: %d of %d)" % (
                total, wrong, wrong_before, total_before)

    def add(self, before: Tally, found: Sequence[Answer], second: int) -> None:
        """Count answers that were given in a second."""
        tally = Tally(before.known, self.now.seen).count(found)
        self.good_answers += sum(not wrong for _, _, wrong in found)
        self.now.add(tally)
        self.recent = [(then, one) for then, one in self.recent if then > second - RECENT] + [(second, tally)]

    def new_lines(self) -> bytes:
        """The lines that are new and whole."""
        inode = inode_and_size(self.path)[0]
        if inode != self.inode:  # the log was rotated
            self.inode, self.offset = inode, 0
        text = read(self.path, self.offset)
        text = text[:text.rfind(b"\n") + 1]
        self.offset += len(text)
        return text

    def counts(self) -> tuple[int, int]:
        """(answers, errors) from the beginning on."""
        return self.now.counts()


def text_before(path: str, end: int) -> bytes:
    """The last BEFORE bytes that were logged before offset `end`; of the rotated file, too, where there are fewer."""
    text = read(path, max(0, end - BEFORE), min(end, BEFORE))
    if end < BEFORE:
        size = inode_and_size(path + ".1")[1]
        text = read(path + ".1", max(0, size - BEFORE + end)) + text
    return text


def inode_and_size(path: str) -> tuple[int, int]:
    """(inode, size) of a file; zeros where there is none."""
    try:
        status = os.stat(path)
        return status.st_ino, status.st_size
    except OSError:
        return 0, 0


def read(path: str, offset: int, most: int = MOST) -> bytes:
    """At most so many bytes of a file, from an offset on; none where there is no file."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(most)
    except OSError:
        return b""
