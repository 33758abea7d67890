"""Read nginx's logs of the app and its balancer: errors, and requests that were answered with 5xx."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypedDict

from .host import Host
from .shapes import Any, Time

MOST, WIDTH = 2000, 1000  # lines that an answer has, at most; characters of each
READ = 2**28  # bytes from the end of a log that are read
FAILED = re.compile(rb'"status":5\d\d,')
ERROR = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\] ")
LEVELS = {"info": "INFO", "notice": "INFO", "warn": "WARNING", "error": "ERROR"}  # else CRITICAL
Entry = tuple[float, str, str]  # time, level and text of a line


class Lines(TypedDict):
    lines: list[tuple[Time, str]]
    cut: bool  # True: there are more lines than these


def lines(host: Host, since: float, until: float | None, last: int, patterns: Sequence[str]) -> Lines:
    """Return the newest `last` lines (0: all) that contain all `patterns`, oldest first."""
    most = min(last or MOST, MOST)
    found = heapq.nlargest(most + 1, (
        (at, text[:WIDTH]) for at, level, text in entries(host, since, until)
        if all(re.search(pattern, '"level": "%s" %s' % (level, text)) for pattern in patterns)))
    return {"lines": found[:most][::-1], "cut": len(found) > most}


def entries(host: Host, since: float, until: float | None = None) -> Iterator[Entry]:
    """Yield the lines of all logs, also of those that logrotate moved last."""
    for name in ("access", "error", "balancer.access", "balancer.error"):
        for end in (".1", ""):
            path = "%s/var/log/nginx/%s.%s.log%s" % (host.root, host.app, name, end)
            for line in whole_lines(path.replace(".balancer.", "-balancer."), since):
                entry = parsed(line)
                if entry and since <= entry[0] <= (until or entry[0]):
                    yield entry


def whole_lines(path: str, since: float) -> Iterator[bytes]:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_mtime >= since:
            file.seek(max(0, status.st_size - READ))
            while line := file.readline(2**16):
                yield line


def parsed(line: bytes) -> Entry | None:
    """Return a line of the error log, or of the access log if nginx answered with 5xx; else None."""
    with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError):
        text = line.decode(errors="replace").strip()
        if FAILED.search(line):
            return datetime.fromisoformat(fields(text)["time"]).timestamp(), "ERROR", text
        if found := ERROR.match(text):
            at = datetime.strptime(found[1], "%Y/%m/%d %H:%M:%S").timestamp()
            return at, LEVELS.get(found[2], "CRITICAL"), text
    return None


def fields(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
