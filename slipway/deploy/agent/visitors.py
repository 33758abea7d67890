"""Whether visitors fare worse than with the release before, by nginx's log; docs/deploy.md has the rule."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import threading

from . import http
from .host import Host, wait_until

MOST = 2_000_000  # bytes that are read at a time, and of the log that tell how it was before
ENOUGH = 20  # answers that are enough to judge by
PATHS, EACH = 20, 100_000  # paths of a client that count, and of all clients: some can invent any number
NOTED = 3  # seconds until an answer of nginx is in its log
OWN = "/.maintenance.html"  # nginx answers that by itself, whatever the app does
LAST = re.compile(r"(\d{3})\s*$")


class Tally:
    """Answers that the app gave or failed to give, and errors among them: of all, and of each client on each path."""

    def __init__(self, text: bytes = b"") -> None:
        self.total = self.wrong = self.own = 0  # `own`: answers to the agent
        self.each: dict[int, list[int]] = {}  # of a client's path: answers, errors
        self.paths: collections.Counter[str] = collections.Counter()  # client → how many of its paths count
        self.read(text)

    def read(self, text: bytes) -> None:
        """Count the answers in nginx's log, but those of nginx itself and those that a visitor did not wait for."""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                status = LAST.search(entry["app_status"])
                if entry["user_agent"] == http.AGENT:
                    self.own += 1
                elif status and entry["status"] != 499:
                    self.count(entry["client"], entry["path"], int(status[1]) >= 500)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue

    def count(self, client: str, path: str, wrong: bool) -> None:
        """Count an answer."""
        client = ":".join(client.split(":")[:4])  # of an IPv6 address, whose it is
        key = hash((client, path))
        if key not in self.each and self.paths[client] < PATHS and len(self.each) < EACH:
            self.paths[client] += 1
            self.each[key] = [0, 0]
        if key in self.each:
            self.each[key][0] += 1
            self.each[key][1] += wrong
        self.total += 1
        self.wrong += wrong

    def of_all(self) -> float:
        """The share of errors, where there are answers enough."""
        return self.wrong / self.total if self.total >= ENOUGH else 0.0

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
        self.inode = self.offset = 0
        self.text = self.new_lines()
        self.usual: Tally | None = None
        self.now, self.lock = Tally(), threading.Lock()

    def new_lines(self) -> bytes:
        """The lines that are new and whole; of a log that is new, as when it was turned over or cut short, the last."""
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self.inode or status.st_size < self.offset:
                self.inode, self.offset = status.st_ino, max(0, status.st_size - MOST)
            file.seek(self.offset)
            text = file.read(MOST)
            whole = text.rfind(b"\n") + 1
            self.offset += whole
            return text[:whole]
        return b""

    def look(self) -> None:
        """Count the answers that are new."""
        with self.lock:
            self.now.read(self.new_lines())

    def before(self) -> Tally:
        """What was before; counted when it is first asked for, as the flip need not wait for it."""
        self.usual = self.usual or Tally(self.text)
        return self.usual

    def problem(self, most: float) -> str:
        """Count new answers. What is wrong where the share `most` is exceeded, in a line; else ""."""
        self.look()
        with self.lock:
            now, before = self.now, self.before()
            return "of %d answers to visitors %d were errors (before: %d of %d)" % (
                now.total, now.wrong, before.wrong, before.total) if worse(before, now, most) else ""

    def blind(self) -> str:
        """Why what visitors are answered cannot be seen, in a line; else "": an answer of nginx must be in its log."""
        before, answer = self.now.own, (0, "")

        def is_noted() -> bool:
            nonlocal answer
            answer = http.ask(self.sock, OWN)
            self.look()
            return self.now.own > before
        if wait_until(is_noted, NOTED):
            return ""
        why = "answers of nginx do not show up in %s: is there room? systemctl reload nginx opens it" % self.path
        return "visitors cannot be watched: " + (why if answer[0] else "nginx gives " + answer[1])
