"""What visitors were answered, by nginx's log, and whether that has become worse. All but the reading is pure."""

from __future__ import annotations

import collections
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator

from . import http
from .answers import Visits
from .host import Host, wait_until
from .shapes import Answer

BEFORE = 2_000_000  # bytes of the log that tell how it was before
MOST = 4_000_000  # bytes that are read at a time
LEAST = 20  # answers that are enough to judge by
PATHS = 20  # that count of one client: some can invent any number on which a release errs
EACH = 100_000  # clients' paths that are told apart
NOTED = 3  # seconds until an answer of nginx is in its log; it writes there before it hangs up
OWN = "/.maintenance.html"  # nginx answers that by itself, whatever the app does
LAST = re.compile(r"(\d{3})\s*$")


def answers(text: bytes) -> Iterator[Answer | None]:
    """(client, path, whether it was an error) of each answer that the app gave or failed to give, by nginx's log; None
    for one to the agent. Not of answers of nginx itself, nor of those that a visitor did not wait for."""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            status = LAST.search(entry["app_status"])
            if entry["user_agent"] == http.AGENT:
                yield None
            elif status and entry["status"] != 499:
                yield entry["client"], entry["path"], int(status[1]) >= 500
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


class Tally:
    """Answers, and errors among them: of all, and of each client on each path."""

    def __init__(self) -> None:
        self.total = self.wrong = 0
        self.each: dict[int, list[int]] = {}  # of a client's path: answers, errors
        self.paths: collections.Counter[str] = collections.Counter()  # client → how many of its paths count

    def count(self, found: Iterable[Answer]) -> None:
        """Count answers."""
        for client, path, wrong in found:
            client = ":".join(client.split(":")[:4])  # of an IPv6 address, whose it is
            key = hash((client, path))
            counts = self.each.get(key)
            if not counts and self.paths[client] < PATHS and len(self.each) < EACH:
                self.paths[client] += 1
                counts = self.each[key] = [0, 0]
            if counts:
                counts[0] += 1
                counts[1] += wrong
            self.total += 1
            self.wrong += wrong

    def of_all(self) -> float:
        """The share of errors, where there are answers enough."""
        return self.wrong / self.total if self.total >= LEAST else 0.0

    def of_each(self) -> float:
        """The same where a client's answers on one path together count as one."""
        return sum(wrong / count for count, wrong in self.each.values()) / len(self.each) if self.of_all() else 0.0


def worse(before: Tally, now: Tally, most: float) -> bool:
    """Whether the share of errors exceeds that of before by more than `most`, and not by a few clients alone."""
    return now.of_all() > before.of_all() + most and now.of_each() > before.of_each() + most


class Visitors:
    """The answers of this host's nginx from now on, to be compared with those before."""

    def __init__(self, host: Host) -> None:
        self.sock, self.path = host.nginx_sock, "%s/var/log/nginx/%s.access.log" % (host.root, host.app)
        self.inode, self.offset = inode_and_size(self.path)
        self.text = text_before(self.path, self.offset)  # now: the file may be cut short as soon as it is turned over
        self.before: Tally | None = None
        self.now, self.own, self.lock = Tally(), 0, threading.Lock()  # `own`: answers to the agent

    def problem(self, most: float) -> str:
        """Count new answers. What is wrong where the share `most` is exceeded, in a line; else ""."""
        self.look()
        with self.lock:
            if not worse(self.usual(), self.now, most):
                return ""
            return "of %d answers to visitors %d were errors (before: %d of %d)" % (
                *self.counts(), self.usual().wrong, self.usual().total)

    def blind(self) -> str:
        """Why what visitors are answered cannot be seen, in a line; else "": an answer of nginx must be in its log."""
        before, status, said = self.own, 0, ""

        def is_noted() -> bool:
            nonlocal status, said
            status, said = http.ask(self.sock, OWN)
            self.look()
            return self.own > before
        if wait_until(is_noted, NOTED):
            return ""
        if not status:
            return "visitors cannot be watched: nginx gives %s" % said
        return ("visitors cannot be watched: what nginx answers does not show up in %s: see whether there is room, and"
                " whether nginx writes there (systemctl reload nginx opens it anew)" % self.path)

    def look(self) -> None:
        """Count the answers that are new."""
        with self.lock:
            found = list(answers(self.new_lines()))
            self.own += found.count(None)
            self.now.count(one for one in found if one)

    def usual(self) -> Tally:
        """What was before; counted when it is first asked for, which is after the flip: that need not wait for it."""
        if self.before is None:
            self.before = Tally()
            self.before.count(one for one in answers(self.text) if one)
        return self.before

    def new_lines(self) -> bytes:
        """The lines that are new and whole."""
        inode, size = inode_and_size(self.path)
        if inode != self.inode or size < self.offset:  # the log begins anew: it was turned over, or cut short
            self.inode, self.offset = inode, 0
        text = read(self.path, self.offset)
        text = text[:text.rfind(b"\n") + 1]
        self.offset += len(text)
        return text

    def counts(self) -> tuple[int, int]:
        """(answers, errors) from the beginning on."""
        return self.now.total, self.now.wrong

    def good(self) -> int:
        """How many answers were none."""
        return self.now.total - self.now.wrong


def visits(host: Host) -> Visits:
    """What this host's last visitors were answered, and whether that can be seen; for facts."""
    visitors = Visitors(host)
    before = visitors.usual()
    return {"answers": before.total, "errors": before.wrong, "blind": visitors.blind()}


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
