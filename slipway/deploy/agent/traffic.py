"""Count the site's answers to visitors in nginx's log, in buckets of time. Only these counts leave the host."""

from __future__ import annotations

import functools
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypedDict

from . import http
from .host import Host
from .message_types import Time

BUCKET = 10  # seconds; the log's times are cut before their last digit
PIECE = 1 << 20  # bytes read at a time
MOST = 8 * PIECE  # bytes of new lines in an answer; the next one has the rest
SLICE = 0.2  # seconds of CPU for a look at older lines
# A line of the log_format in site.conf or balancer-site.conf. nginx puts a backslash before a visitor's quote.
ANSWER = re.compile(
    rb'^\{"time":"(.{18}).([^"]{6})"[^\n]*"status":(\d)\d\d,[^\n]*?_seconds":"([^"]*)"'
    rb'[^\n]*(?<!"asked_by":"machine",)"user_agent":"(?!'
    + http.AGENT.encode()
    + rb'[ "])',  # with a number after it in checks of the site
    re.MULTILINE,
)
SECONDS = re.compile(rb"(\d+\.\d+)\s*$")  # of the last server that nginx asked
Counts = dict[str, int]


class Bucket(TypedDict):
    """Answers within BUCKET seconds from `at` on. `statuses`: a status' first digit → answers. `times`: milliseconds,
    rounded to two digits → answers of the app that took so long."""

    at: Time
    statuses: Counts
    times: Counts


class Place(TypedDict):
    """A place in a log, which may have been rotated since."""

    inode: int
    offset: int


class Traffic(TypedDict):
    """`place`: where the next look begins; None: there is no log, or with `older` nothing before."""

    buckets: list[Bucket]
    place: Place | None


def newer(host: Host, place: Place | None) -> Traffic:
    """Return the answers that were logged since `place`. Without a place, return only the end of the log."""
    path = log_path(host)
    if path is None:
        return {"buckets": [], "place": None}
    status = os.stat(path)
    if place is None:
        return {"buckets": [], "place": {"inode": status.st_ino, "offset": status.st_size}}
    rotated = log_path_by_inode(host, place["inode"])
    if rotated and rotated != path:  # first what was logged there since
        rest = whole_lines(rotated, place["offset"], MOST)
        return {"buckets": [*buckets(rest)], "place": {"inode": status.st_ino, "offset": 0}}
    if place["inode"] != status.st_ino or place["offset"] > status.st_size:
        place = {"inode": status.st_ino, "offset": 0}
    text = whole_lines(path, place["offset"], MOST)
    return {"buckets": [*buckets(text)], "place": {**place, "offset": place["offset"] + len(text)}}


def older(host: Host, place: Place, since: float) -> Traffic:
    """Return the answers before `place`, as many as can be counted within SLICE seconds of CPU, back to `since`."""
    began = time.thread_time()
    path = log_path_by_inode(host, place["inode"])
    counted: list[Bucket] = []
    while path and time.thread_time() - began < SLICE:
        if not place["offset"]:
            path = f"{path}.1" if path == log_path(host) and os.path.exists(f"{path}.1") else ""
            if path:
                status = os.stat(path)
                place = {"inode": status.st_ino, "offset": status.st_size}
            continue
        start = max(0, place["offset"] - PIECE)
        text = lines_before(path, start, place["offset"])
        place = {**place, "offset": place["offset"] - len(text)}
        new = [*buckets(text)]
        counted += [bucket for bucket in new if bucket["at"] >= since]
        if new and min(bucket["at"] for bucket in new) < since:
            path = ""
    return {"buckets": merge_buckets(counted), "place": place if path else None}


def log_path(host: Host) -> str | None:
    """Return the log of the app's balancer if it is on this host, else that of the app's site; None if both lack."""
    logs = (f"{host.root}/var/log/nginx/{host.app}{end}.access.log" for end in ("-balancer", ""))
    return next((path for path in logs if os.path.exists(path)), None)


def log_path_by_inode(host: Host, inode: int) -> str:
    """Return the path of the log with this inode, "" if it is no longer there."""
    path = log_path(host) or ""
    for candidate in (path, f"{path}.1"):
        if os.path.exists(candidate) and os.stat(candidate).st_ino == inode:
            return candidate
    return ""


def whole_lines(path: str, offset: int, most: int) -> bytes:
    """Return whole lines from the offset on."""
    with open(path, "rb") as file:
        file.seek(offset)
        text = file.read(most)
    return text[: text.rfind(b"\n") + 1]


def lines_before(path: str, start: int, end: int) -> bytes:
    """Return the lines that end before `end` and begin behind `start`; all before `end` if no line begins there."""
    with open(path, "rb") as file:
        file.seek(start)
        text = file.read(end - start)
    return text[text.find(b"\n") + 1 :] if start and b"\n" in text[:-1] else text


def buckets(text: bytes) -> Iterator[Bucket]:
    by_time: dict[tuple[bytes, bytes], tuple[Counter[str], Counter[str]]] = defaultdict(lambda: (Counter(), Counter()))
    for (moment, zone, status, seconds), number in Counter(ANSWER.findall(text)).items():
        statuses, times = by_time[moment, zone]
        statuses[status.decode()] += number
        took = milliseconds(seconds)
        if took and status != b"1":  # websockets last
            times[took] += number
    for (moment, zone), (statuses, times) in sorted(by_time.items()):
        try:
            at = datetime.fromisoformat(f"{moment.decode()}0{zone.decode()}").timestamp()
        except ValueError:  # not nginx's own line
            continue
        yield {"at": at, "statuses": dict(statuses), "times": dict(times)}


@functools.lru_cache(10_000)  # most answers take as long as another one
def milliseconds(seconds: bytes) -> str:
    """Return such as "120" for "0.123", "" if it is no time."""
    took = SECONDS.search(seconds)
    if not took:
        return ""
    number = round(float(took[1]) * 1000)
    return str(number) if number < 100 else f"{float(f'{number:.1e}'):.0f}"


def add_buckets(by_time: dict[float, Bucket], parts: Iterable[Bucket]) -> None:
    """Add buckets to those of the same time: several pieces of a log may have some."""
    for part in parts:
        whole = by_time.setdefault(part["at"], {"at": part["at"], "statuses": {}, "times": {}})
        for sums, counts in ((whole["statuses"], part["statuses"]), (whole["times"], part["times"])):
            for key, number in counts.items():
                sums[key] = sums.get(key, 0) + number


def merge_buckets(parts: Iterable[Bucket]) -> list[Bucket]:
    """Return the buckets in their order, one of each time."""
    by_time: dict[float, Bucket] = {}
    add_buckets(by_time, parts)
    return [by_time[at] for at in sorted(by_time)]
