"""Find the app's errors in this host's journal and in nginx's logs. journalctl searches, so Python sees only hits."""

from __future__ import annotations

import itertools
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import TypedDict

from . import groups, nginx, releases, timers
from .groups import Group, Groups, Hit
from .host import ENVIRONMENT, Host, Problem
from .shapes import Any, Time

LIMIT = 45  # seconds for a search; the deployer waits a minute
FOREVER = 250e9  # seconds since the epoch, in the year 9892
LONGEST = 2**20  # bytes of an entry; a longer one is ignored
EXITED, RESTARTS = "98e322203f7a4ed290d09fe03c09fe15", "5eb03494b6584870a536b337290809b3"  # systemd's message ids
PATTERN = '"level": "(ERROR|CRITICAL)"|Main process exited, code=|Scheduled restart job'
BROKEN = re.compile(r'"(level|logger|message|release)": "([^"\\]{1,300})')  # in a line that Docker has split
FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,MESSAGE_ID,UNIT,EXIT_STATUS"


class Found(TypedDict):
    groups: list[Group]
    left: int
    since: Time | None  # None: this host does not know when the release's deploy began


def find(host: Host, since: float | None = None, tag: str = "", only: str = "", seconds: float = LIMIT) -> Found:
    """Return the groups of errors since a time, or since the deploy of the live release (or `tag`) began. New are those
    that the release before did not have. Tell the traceback and newest requests of the group `only`."""
    live = tag or (releases.read_tag(host.tag) or {"tag": ""})["tag"]
    before, begin, after = times(host, live)
    since = begin if since is None else since
    if since is None:
        return {"groups": [], "left": 0, "since": None}
    begin = begin or (since if before else FOREVER)  # FOREVER: a balancer cannot tell what is new
    found = Groups(since, after, begin, live, tag, only)

    def search(first: float, last: float | None = None) -> None:
        for hit in itertools.chain(in_nginx(host, first, last), in_journal(host, first, last, seconds)):
            found.add(hit)
    search(since)
    for hit in overdue(host):
        found.add(hit)
    if found.found and before and before < since:
        search(before, since - 1e-6)
    return {"groups": [*found.found.values()], "left": found.left, "since": since}


def times(host: Host, tag: str) -> tuple[float | None, float | None, float]:
    """Return when the release before `tag` went live here, when the deploy of `tag` began, and when the next release
    went live. Of a deploy that is not committed only the first is known."""
    known = [record for record in releases.read_log(host)[0]
             if record["outcome"] == "committed" and record["action"] != "restart"]
    at = max((place for place, record in enumerate(known) if record["tag"] == tag), default=len(known))
    ends = [record.get("at", 0.0) for record in known]
    begins = [record.get("at", 0.0) - record.get("seconds", 0.0) for record in known]
    return ends[at - 1] if at else None, begins[at] if at < len(known) else None, min(ends[at + 1:], default=FOREVER)


def new_since(host: Host, since: float, tag: str, seconds: float) -> str:
    """Return in a few words the release's new errors since then; "" if they are unknown."""
    try:
        return groups.brief(find(host, since, tag, seconds=seconds)["groups"])
    except Exception:  # whatever is in a log, it must not disturb a takeback
        return ""


def overdue(host: Host) -> Iterator[Hit]:
    """Yield commands by the clock that are overdue now: no log says so."""
    for role, schedule in timers.schedules(host).items():
        wrong = timers.state(host, role, schedule)["health"]
        if wrong.startswith("overdue"):
            yield Hit(time.time(), role, ("overdue", role), role, "", wrong)


def in_nginx(host: Host, since: float, until: float | None) -> Iterator[Hit]:
    """Yield nginx's 502 and 504, also those that visitors saw as 503."""
    for at, _, text in nginx.entries(host, since, until):
        entry = nginx.fields(text)
        status = str(entry.get("app_status", entry.get("host_status", "")))[-3:]
        if status in ("502", "504"):
            what = " ".join(str(entry.get(key, "")) for key in ("method", "path"))[:200]
            yield Hit(at, "nginx", ("nginx", status), "nginx", "", "answered %s for the app" % status,
                      id=str(entry.get("request_id", ""))[:64], what=what)


def in_journal(host: Host, since: float, until: float | None, seconds: float) -> Iterator[Hit]:
    """Yield errors that processes logged, and containers that ended unasked: systemd starts only these again itself,
    except for commands by the clock."""
    timed = timers.schedules(host)
    slots = [*((role, slot) for role in host.in_slots() for slot in "ab"),
             *((role, "") for role in (*host.alone(), *timed))]
    names, units = ({name(*each): each[0] for each in slots} for name in (host.container, host.unit))
    exits: dict[str, str] = {}  # unit → the exit code of its last container
    for entry in entries([*names], [*units], since, until, seconds):
        told = {name: value for name, value in entry.items() if type(value) is str}
        at, (unit, kind, text) = time_of(told), (told.get(key, "") for key in ("UNIT", "MESSAGE_ID", "MESSAGE"))
        if kind == EXITED:
            exits[unit] = told.get("EXIT_STATUS", "?")[:9]
            if units.get(unit) in timed:
                yield ended(at, units[unit], exits.pop(unit), "")
        elif kind == RESTARTS and unit in units:
            yield ended(at, units[unit], exits.pop(unit, "0"))
        elif not kind and (role := names.get(told.get("SYSLOG_IDENTIFIER", ""))):
            record = nginx.fields(text) or dict(BROKEN.findall(text[:2000]))
            if record.get("level") in ("ERROR", "CRITICAL"):
                yield groups.in_record(at, role, record)


def ended(at: float, role: str, code: str, then: str = ", and was started again") -> Hit:
    signal = int(code) - 128 if code.isdecimal() and 128 < int(code) < 193 else 0
    memory = ", perhaps as memory was short" if signal == 9 else ""
    why = "by signal %d%s" % (signal, memory) if signal else "with exit code " + code
    return Hit(at, role, ("ended", role, code), role, "", "ended %s%s" % (why, then))


def entries(names: list[str], units: list[str], since: float, until: float | None,
            seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the entries that fit PATTERN: what these containers say, and what systemd says of these units."""
    if not names:  # a balancer runs no app, and journalctl would search all that it has
        return
    words = [*("SYSLOG_IDENTIFIER=" + name for name in names), "+", "_PID=1", *("UNIT=" + unit for unit in units)]
    times = ["--since=@%.6f" % since, *(["--until=@%.6f" % until] if until else [])]
    process = subprocess.Popen(
        ["journalctl", "--quiet", "--no-pager", "--all", "-o", "json", "--output-fields=" + FIELDS, *times,
         "--case-sensitive=yes", "--grep=" + PATTERN, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        while process.stdout and (line := process.stdout.readline(LONGEST)):
            yield nginx.fields(line.decode(errors="replace"))
        if process.wait() < 0:
            raise Problem("the journal could not be searched within %g s: name a shorter time" % seconds)
    finally:
        timer.cancel()
        process.kill()
        process.wait()


def time_of(entry: dict[str, Any]) -> float:
    text = str(entry.get("__REALTIME_TIMESTAMP"))
    return int(text) / 1e6 if re.fullmatch("[0-9]{1,17}", text) else 0.0
