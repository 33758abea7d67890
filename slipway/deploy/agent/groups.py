"""Group errors: one group is one exception at one function of the project, or one message of a logger. Does no I/O.

Log lines have visitors' texts: what is kept of them is cut, and the number of groups is limited."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Annotated, NamedTuple, TypedDict

from .shapes import Any, NotRequired, Time

MOST = 500  # groups
LATEST = 5  # newest requests or tasks that are kept of a group
FRAME = re.compile(r'^[ |]*File "([^"\n]{1,300})", line (\d{1,7}), in (\S{1,100})', re.M)
RAISED = re.compile(r"^(?: {0,99}\| )?([A-Za-z_][\w.<>]{0,200})(?:: (.{0,300})|:?$)", re.M)
# Files that are not the project's own: of Python, of installed packages, of Slipway.
FOREIGN = re.compile(r"^<|/(site|dist)-packages/|/lib/python3|\.(whl|zip)/|/slipway/")
VARYING = re.compile(r"(?<!\S)/\S*|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b|\b(0x)?[0-9a-f]{12,}\b|\d+")  # paths, ids


class Hit(NamedTuple):
    """An error. `key`: what its group has in common. `release`, `id`, `what`, `text` may be "": they are unknown."""
    at: float
    role: str
    key: tuple[str, ...]
    title: str
    place: str = ""
    message: str = ""
    release: str = ""
    id: str = ""  # of the request or task
    what: str = ""  # method and path of the request, or what the task said
    text: str = ""  # the traceback


class Group(TypedDict):
    id: Annotated[str, "[0-9a-f]{8}"]
    title: str  # the exception's type, or the logger
    place: str  # file:line function
    message: str
    count: int
    first: Time
    last: Time
    releases: list[str]
    roles: list[str]
    known: bool  # True: the release before had it, too
    text: NotRequired[str]
    latest: NotRequired[list[tuple[Time, str, str, str]]]  # time, id, what, release


def in_record(at: float, role: str, record: dict[str, Any]) -> Hit:
    """Return the error in a record of Slipway's log."""
    texts = {key: value for key, value in record.items() if type(value) is str}
    logger, message, text = (texts.get(key, "") for key in ("logger", "message", "exception"))
    what = " ".join(filter(None, [texts.get("method"), texts.get("path")])) or message
    rest = {"release": texts.get("release", "")[:128], "id": texts.get("request_id", "")[:64], "what": what[:200],
            "text": text[:12_000]}
    tail = text[:12_000].rpartition("Traceback (most recent call last)")[2]
    frames = [*FRAME.finditer(tail)]
    if not frames:
        key = ("logged", logger, VARYING.sub("N", message[:300]))
        return Hit(at, role, key, logger[:100], "", message[:300], **rest)
    file, line, function = ([frame for frame in frames if not FOREIGN.search(frame[1])] or frames)[-1].groups()
    found = RAISED.search(tail, frames[-1].end())
    kind, said = (found[1], found[2] or "") if found else ("?", "")
    place = "%s:%s %s" % (file.removeprefix("/app/"), line, function)
    return Hit(at, role, ("raised", kind, file, function), kind.rpartition(".")[2], place, said, **rest)


class Groups:
    """Counts errors from `since` on; with `tag` only those of this release, and of unknown ones. What releases other
    than `live` had, or what came before `begin`, is known. `left`: errors beyond MOST groups."""

    def __init__(self, since: float, begin: float, live: str, tag: str = "", only: str = "") -> None:
        self.since, self.begin, self.live, self.tag, self.only = since, begin, live, tag, only
        self.found: dict[str, Group] = {}
        self.left = 0

    def add(self, hits: Iterable[Hit]) -> None:
        for hit in hits:
            id = "%08x" % zlib.crc32(repr(hit.key).encode(errors="replace"))
            counts = hit.at >= self.since and (not self.tag or hit.release in ("", self.tag))
            if counts and id not in self.found and len(self.found) >= MOST:
                self.left += 1
            elif counts:
                self.count(hit, self.found.setdefault(id, {
                    "id": id, "title": hit.title, "place": "", "message": "", "count": 0, "first": hit.at,
                    "last": hit.at, "releases": [], "roles": [], "known": False}))
            if id in self.found and (hit.release != self.live if hit.release else hit.at < self.begin):
                self.found[id]["known"] = True

    def count(self, hit: Hit, group: Group) -> None:
        group["count"] += 1
        group["first"] = min(group["first"], hit.at)
        if hit.at >= group["last"]:
            group["last"], group["place"], group["message"] = hit.at, hit.place, hit.message
        for names, name in ((group["releases"], hit.release), (group["roles"], hit.role)):
            if name and name not in names and len(names) < 20:
                names.append(name)
        if group["id"] == self.only:
            group["text"] = hit.text or group.get("text", "")
            group["latest"] = sorted([*group.get("latest", []), (hit.at, hit.id, hit.what, hit.release)])[-LATEST:]


def brief(groups: list[Group]) -> str:
    """Return new groups in a few words, such as "KeyError orders/views.py:31 detail, 12 times", or ""."""
    new = sorted((group for group in groups if not group["known"]), key=lambda group: -group["count"])
    texts = ["%s, %s" % (named(group), "once" if group["count"] == 1 else "%d times" % group["count"])
             for group in new[:3]]
    return "; ".join([*texts, *(["%d more" % (len(new) - 3)] if len(new) > 3 else [])])


def named(group: Group) -> str:
    return "%s %s" % (group["title"], group["place"] or group["message"][:80])
