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

MOST = 2000  # lines that an answer has, at most; each has at most LONGEST bytes
LONGEST = 1000
READ = 2**28  # bytes of a log that are read, at most
FAILED = re.compile(rb'"status":5\d\d,')
ERROR = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\] ")
LEVELS = {"debug": "DEBUG", "info": "INFO", "notice": "INFO", "warn": "WARNING", "error": "ERROR"}  # else CRITICAL
MALFORMED = (ValueError, TypeError, KeyError, OverflowError)
Entry = tuple[float, str, str]  # time, level and text of a line


class Lines(TypedDict):
    lines: list[tuple[Time, str]]
    cut: bool  # True: there are more lines than these


def lines(host: Host, since: float, until: float | None, last: int, patterns: Sequence[str]) -> Lines:
    """Return the newest `last` lines (0: all) that contain all `patterns`, oldest first."""
    most = min(last or MOST, MOST)
    found = heapq.nlargest(most + 1, (
        (at, text) for at, level, text in entries(host, since, until)
        if all(re.search(pattern, '"level": "%s" %s' % (level, text)) for pattern in patterns)))
    return {"lines": found[:most][::-1], "cut": len(found) > most}


def entries(host: Host, since: float, until: float | None = None) -> Iterator[Entry]:
    """Yield the lines of all logs, also of those that logrotate moved last."""
    for site in (host.app, host.app + "-balancer"):
        for kind, read in (("access", visit), ("error", error)):
            path = "%s/var/log/nginx/%s.%s.log" % (host.root, site, kind)
            for line in (line for end in (".1", "") for line in whole_lines(path + end, since)):
                entry = read(line)
                if entry and since <= entry[0] <= (until or entry[0]):
                    yield entry


def whole_lines(path: str, since: float) -> Iterator[bytes]:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_mtime >= since:
            file.seek(max(0, status.st_size - READ))
            while line := file.readline(2**16):
                yield line


def visit(line: bytes) -> Entry | None:
    """Return a line of the access log if nginx answered with 5xx, else None."""
    entry = fields(line) if FAILED.search(line) else {}
    with contextlib.suppress(*MALFORMED):
        return datetime.fromisoformat(entry["time"]).timestamp(), "ERROR", text_of(line)
    return None


def error(line: bytes) -> Entry | None:
    text = text_of(line)
    found = ERROR.match(text)
    with contextlib.suppress(*MALFORMED):
        at = datetime.strptime(found[1] if found else "", "%Y/%m/%d %H:%M:%S").timestamp()
        return at, LEVELS.get(found[2] if found else "", "CRITICAL"), text
    return None


def fields(line: bytes | str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def text_of(line: bytes) -> str:
    return line.decode(errors="replace").strip()[:LONGEST]
