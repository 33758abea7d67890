"""Group errors: one group is one exception at one function of the project, or one message of a logger. Does no I/O.

Log lines have visitors' texts: what is kept of them is cut, and the number of groups is limited."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Collection, Iterable
from typing import Annotated, TypedDict

from .message_types import Any, Time

MOST, MORE = 200, "errors in too many groups: name a shorter time, such as --since -1h"  # groups, and what is beyond
MANY = 100_000  # groups of the release before that are known, at most
LATEST = 5  # newest requests or tasks that are kept of a group
VARYING = re.compile(r"(?<!\S)/\S*|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b|\b(0x)?[0-9a-f]{12,}\b|\d+")  # paths, ids


class Group(TypedDict):
    """Errors of one kind, of which each may be the only one."""

    id: Annotated[str, "[0-9a-f]{8}"]
    title: str  # the exception's type, or the logger
    place: str  # file:line function
    message: str
    count: int
    first: Time
    last: Time
    releases: list[str]
    roles: list[str]
    hosts: list[str]  # the deployer fills it in
    seen_before: bool  # True: the release before had it, too
    text: str  # the newest traceback
    latest: list[tuple[Time, str, str, str]]  # time, id, what, release of requests or tasks; what is not known is ""


def group_of_record(at: float, role: str, record: dict[str, Any]) -> Group:
    """Return the error in a record of Slipway's log. Only `raised` tells its place: texts may be a visitor's."""
    logger = cut_text(record, "logger", 100)
    message = cut_text(record, "message", 600)
    text = cut_text(record, "exception", 12_000)
    what = " ".join(filter(None, [cut_text(record, "method", 20), cut_text(record, "path", 180)])) or message[:200]
    visit = cut_text(record, "request_id", 64), what, cut_text(record, "release", 128)
    raised = record.get("raised")
    if not isinstance(raised, dict):
        summary = cut_text(record, "message_template", 300) or message[:300]  # before formatting: values make no group
        key = ("logged", logger, VARYING.sub("N", summary))
        return group_of_error(at, role, key, logger, "", message[:300], visit, text[-3000:])
    kind, file, line, function = (cut_text(raised, key, 200) for key in ("type", "file", "line", "function"))
    place = f"{file.removeprefix('/app/')}:{line} {function}"
    summary = "".join(text.rsplit(kind + ": ", 1)[1:]).partition("\n")[0][:300]
    return group_of_error(at, role, ("raised", kind, file, function), kind, place, summary, visit, text)


def cut_text(record: dict[str, Any], key: str, most: int) -> str:
    """Return the begin of a text, of at most so many bytes as it travels: in JSON, an é has six."""
    value = record.get(key)
    value = value[:most] if isinstance(value, str) else ""
    while (size := len(json.dumps(value)) - 2) > most:
        value = value[: len(value) * most // size]
    return value


def group_of_error(
    at: float,
    role: str,
    key: tuple[str, ...],
    title: str,
    place: str = "",
    message: str = "",
    visit: tuple[str, str, str] = ("", "", ""),
    text: str = "",
) -> Group:
    """Return the group of one error. `key`: what its group has in common."""
    return {
        "id": f"{zlib.crc32(repr(key).encode(errors='replace')):08x}",
        "title": title,
        "place": place,
        "message": message,
        "count": 1,
        "first": at,
        "last": at,
        "releases": [*filter(None, visit[2:])],
        "roles": [role],
        "hosts": [],
        "seen_before": False,
        "text": text,
        "latest": [(at, *visit)],
    }


def add_group(by_id: dict[str, Group], group: Group) -> None:
    """Add a group's errors to those that were found of it."""
    if earlier := by_id.get(group["id"]):
        newest = group if group["last"] >= earlier["last"] else earlier
        group = {
            **newest,
            "count": earlier["count"] + group["count"],
            "first": min(earlier["first"], group["first"]),
            "seen_before": earlier["seen_before"] or group["seen_before"],
            "text": newest["text"] or earlier["text"] or group["text"],
            "releases": sorted({*earlier["releases"], *group["releases"]})[-20:],
            "roles": sorted({*earlier["roles"], *group["roles"]}),
            "hosts": sorted({*earlier["hosts"], *group["hosts"]}),
            "latest": sorted([*earlier["latest"], *group["latest"]])[-LATEST:],
        }
    by_id[group["id"]] = group


def add_errors(
    by_id: dict[str, Group], errors: Iterable[Group], begin: float, live: str, olds: Collection[str], tag: str
) -> set[str]:
    """Add errors; with `tag` only those of this release, and of unknown ones. Return the ids of those that came before
    `begin`, or that releases in `olds` other than `live` had."""
    known_ids: set[str] = set()
    for group in errors:
        release = "".join(group["releases"])
        if (group["first"] < begin or (release in olds and release != live)) and len(known_ids) < MANY:
            known_ids.add(group["id"])
        if not tag or release in ("", tag):
            fits = group["id"] in by_id or len(by_id) < MOST
            add_group(by_id, group if fits else group_of_error(group["first"], "", ("more",), MORE))
    return known_ids


def summary(groups: list[Group]) -> str:
    """Return new groups in one line, such as "1 new error: KeyError orders/views.py:31 detail, 12 times", or ""."""
    new = sorted((group for group in groups if not group["seen_before"]), key=lambda group: -group["count"])
    if not new:
        return ""
    texts = [f"{headline(group)}, {plural(group['count'], 'time')}" for group in new[:3]]
    if len(new) > 3:
        texts.append("…")
    return f"{plural(len(new), 'new error')}: {'; '.join(texts)}"


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def headline(group: Group) -> str:
    return " ".join([*group["title"].split(), *(group["place"] or group["message"][:80]).split()])  # in one line
