"""Count errors in visitors' answers before and after the flip, from nginx's log."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import threading
import time

from . import http
from .host import Host, wait_until

MOST = 2_000_000  # bytes of the log read at a time; of the log before the flip, only the last MOST bytes count
ENOUGH = 20  # fewer answers than this prove nothing, and are not judged
PATHS, EACH = 20, 100_000  # limits: paths per client, pairs of client and path in total; clients can invent paths
NOTED = 3  # seconds to wait until an answer is in nginx's log
OWN = "/.maintenance.html"  # a path that nginx answers itself, without the app
MACHINE = "machine"  # in nginx's log: the request was for a path that only machines ask, such as /readyz
ANSWERS = "answers to visitors"  # marks the cause of a takeback by max_errors
LAST = re.compile(r"(\d{3})\s*$")
SECONDS = re.compile(r"(\d+\.\d+)\s*$")
Times = collections.Counter[int]  # milliseconds → number of answers that took so long
Speed = tuple[float, float]  # seconds of the slowest answer, and within which 99% came


class Tally:
    """Counts of the app's answers and errors: in total, and per client and path. `since`: when a deploy began."""

    def __init__(self, text: bytes = b"", since: str = "") -> None:
        self.since, self.earlier, self.later = since, Times(), Times()  # of answers until then, and from then on
        self.total = self.wrong = self.own = 0  # app's answers to visitors; errors among these; answers to the agent
        self.each: dict[int, list[int]] = {}  # hash of client and path → [answers, errors]
        self.paths: collections.Counter[str] = collections.Counter()  # client → number of its paths in `each`
        self.read(text)

    def read(self, text: bytes) -> None:
        """Count the app's answers in lines of nginx's log. Skip status 499: there the client gave up waiting."""
        for line in text.split(b"\n"):
            try:
                entry = json.loads(line)
                status = LAST.search(entry["app_status"])
                if entry["user_agent"] == http.AGENT:
                    self.own += 1
                elif entry.get("asked_by") == MACHINE:
                    continue
                elif status and entry["status"] != 499:
                    self.count(entry["client"], entry["path"], int(status[1]) >= 500)
                    took = SECONDS.search(entry.get("app_seconds", ""))
                    if took and entry["status"] != 101:  # websockets last
                        times = self.later if entry["time"] >= self.since else self.earlier
                        times[round(1000 * float(took[1]))] += 1
            except (ValueError, KeyError, TypeError, AttributeError):
                continue

    def count(self, client: str, path: str, wrong: bool) -> None:
        client = ":".join(client.split(":")[:4])  # one visitor may use all addresses of an IPv6 /64 network
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
        """Return the share of errors (0 to 1); 0 if there are fewer than ENOUGH answers."""
        return self.wrong / self.total if self.total >= ENOUGH else 0.0

    def of_each(self) -> float:
        """Return the mean share of errors over pairs of client and path; 0 if of_all is 0."""
        return sum(wrong / count for count, wrong in self.each.values()) / len(self.each) if self.of_all() else 0.0


def speed(times: Times) -> Speed | None:
    took = sorted(times.elements())
    return (took[-1] / 1000, took[-1 - len(took) // 100] / 1000) if took else None


def is_worse(before: Tally, now: Tally, most: float) -> bool:
    """Return True if two shares of errors, Tally.of_all and Tally.of_each, both rose by more than `most`."""
    return now.of_all() > before.of_all() + most and now.of_each() > before.of_each() + most


class Visitors:
    """Counts this host's answers to visitors before and after the creation of this object. `started`: Noted's."""

    def __init__(self, host: Host, site: str = "", started: float = 0) -> None:
        self.sock = host.nginx_sock
        self.path = f"{host.root}/var/log/nginx/{site or host.app}.access.log"
        self.inode = self.offset = 0
        self.text = self.new_lines()
        self.usual: Tally | None = None
        since = time.localtime(time.time() - time.monotonic() + started)
        self.now = Tally(since=time.strftime("%Y-%m-%dT%H:%M:%S", since))
        self.lock = threading.Lock()

    def new_lines(self) -> bytes:
        """Return the log's new whole lines. If the log was rotated or truncated, return its last whole lines."""
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self.inode or status.st_size < self.offset:
                self.inode = status.st_ino
                self.offset = max(0, status.st_size - MOST)
            file.seek(self.offset)
            text = file.read(MOST)
            whole = text.rfind(b"\n") + 1
            self.offset += whole
            return text[:whole]
        return b""

    def count_new(self) -> None:
        with self.lock:
            self.now.read(self.new_lines())

    def before(self) -> Tally:
        self.usual = self.usual or Tally(self.text, self.now.since)  # counted now: the flip did not wait for it
        return self.usual

    def speeds(self) -> tuple[Speed | None, Speed | None]:
        """Return the speed of answers before the deploy, and of those while it ran; None without answers."""
        with self.lock:
            before = self.before()
            return speed(before.earlier), speed(before.later + self.now.later)

    def problem(self, most: float) -> str:
        """Count new answers. Return one line if the share of errors rose by more than `most`, else ""."""
        self.count_new()
        with self.lock:
            now = self.now
            before = self.before()
            if not is_worse(before, now, most):
                return ""
            return f"of {now.total} {ANSWERS} {now.wrong} were errors (before: {before.wrong} of {before.total})"

    def log_problem(self) -> str:
        """Send requests to nginx; return "" if one shows up in its log, else one line that tells why not."""
        before = self.now.own
        answer = (0, "")

        def is_noted() -> bool:
            nonlocal answer
            answer = http.ask(self.sock, OWN)
            self.count_new()
            return self.now.own > before

        if wait_until(is_noted, NOTED):
            return ""
        why = f"nginx does not log its answers in {self.path}: check the free disk, then systemctl reload nginx"
        return "visitors cannot be watched: " + (why if answer[0] else "nginx answers " + answer[1])
