"""Find the app's errors in this host's journal, nginx's, too. journalctl searches, so that Python sees only hits."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from . import certificates, disk, groups, releases, services, timers, tracebacks
from .groups import Group, group_of_error
from .host import ENVIRONMENT, Host, Problem, last_output
from .message_types import Any, Time
from .roles import SERVICES
from .tracebacks import PRINTED, RECORD, Tracebacks, group_of_traceback

LIMIT = 58  # seconds for both searches; the deployer waits a minute
AGAIN = 600  # seconds until these are searched again, as a search may have been slow
LONGEST = 2**20  # bytes of an entry; a longer one is ignored
EXITED, RESTARTS = "98e322203f7a4ed290d09fe03c09fe15", "5eb03494b6584870a536b337290809b3"  # systemd's message ids
# On stderr, lines in another form than Slipway's that seem to tell of an error: of a team's own logging, of a crash.
UNREAD_TEXT = r"^[^{]*(Traceback \(most recent|(\b|\dm)(error|ERROR|critical|CRITICAL)\b)"
UNREAD = UNREAD_TEXT + r'|^\{.*"level": ?"(error|critical)"'
# Of Postgres and Redis what no statement of the app explains. Those that come while it starts are no errors.
OF_SERVICE = (
    r"((FATAL|PANIC):  (?!the database system is ).*|deadlock detected|out of memory.*| # .*([Ee]rror|OOM|MISCONF).*)"
)
LEVEL = r'"level": ?"(ERROR|CRITICAL|error|critical)"'
TIME = r'"time": "[^"]*", '  # Slipway's lines begin with time and level
# What journalctl searches for. It tries a pattern that does not begin with ^ at each character of a line: a search of a
# full journal would take twenty times as long.
PATTERNS = (
    rf"^\{{{TIME}{LEVEL}",
    r'^\{"time":"([^_]*_)+?status":"[^"]*50[24]"',  # nginx's
    rf'^\{{(?!{TIME}"level": ").*{LEVEL}',  # of a team's own logging
    rf"^(?!\{{)(?s:.*)({LEVEL}|Main process exited, code=|Scheduled restart job|{OF_SERVICE})",
    UNREAD_TEXT,
    tracebacks.PATTERN,
)
BROKEN = re.compile(r'"(level|logger|message|message_template|release)": "([^"\\]{1,300})')  # Docker has split it
FIELDS = "SYSLOG_IDENTIFIER", "UNIT", "MESSAGE_ID", "EXIT_STATUS"
OTHER_FORM = "some lines are not in Slipway's form, so that its errors are unknown: see slipway logs"
GATEWAY = {"502": "502 Bad Gateway", "504": "504 Gateway Timeout"}


class ErrorGroups(TypedDict):
    """This host's groups of errors."""

    groups: list[Group]
    seen_before: list[str]  # ids of other hosts' groups that the release before had here
    since: Time | None  # None: this host does not know when the release's deploy began


def find(
    host: Host, since: float | None = None, tag: str = "", seconds: float = LIMIT, also: Sequence[str] = ()
) -> ErrorGroups:
    """Return the groups of errors since a time (below 0: so many seconds ago), or since the deploy of the live release
    (or `tag`) began. New are those that the release before did not have. `also`: ids of other hosts' groups."""
    live = tag or (releases.read_tag(host.tag) or {"tag": ""})["tag"]
    before, begin, end, olds = release_times(host, live)
    if since is None and begin is None and tag:
        begin, end = failed_deploy_times(host, tag)
    since = begin if since is None else since if since >= 0 else time.time() + since
    if since is None:
        return {"groups": [], "seen_before": [], "since": None}
    by_id: dict[str, Group] = {}
    begin = begin or since
    if end and end <= since:
        end = None  # a rollback has brought the release back since then
    errors = itertools.chain(
        logged_errors(host, since, end if tag else None, seconds),
        () if tag else [*overdue_commands(host), *expired_certificates(host)],
    )
    known_ids = groups.add_errors(by_id, errors, begin, live, olds, tag)
    if before and (by_id or also):
        known_ids |= group_ids(host.app, host.root, before, begin, seconds, olds, int(time.time() / AGAIN))
    for id in by_id.keys() & known_ids:
        by_id[id]["seen_before"] = True
    return {"groups": [*by_id.values()], "seen_before": sorted(known_ids.intersection(also)), "since": since}


@functools.lru_cache(4)  # `slipway watch` asks three times a minute for days, each time with a new Host
def group_ids(
    app: str, root: str, since: float, until: float, seconds: float, tags: frozenset[str], when: int
) -> frozenset[str]:
    """Return the groups of these releases' errors between two times, at most MANY, and those found in time."""
    seen: set[str] = set()
    with contextlib.suppress(Problem):  # rather than no errors, show as new what was not found
        for group in logged_errors(Host(app, root), since, until, seconds):
            if len(seen) < groups.MANY and {*group["releases"]} <= tags:
                seen.add(group["id"])
    return frozenset(seen)


def release_times(host: Host, tag: str) -> tuple[float | None, float | None, float | None, frozenset[str]]:
    """Return when the releases before `tag` went live here, when the deploy of `tag` began, and when the next release
    went live (of a deploy that is not committed only the first is known); and these releases: the last one before,
    and `tag` itself if a rollback brought it back."""
    committed = [
        record
        for record in releases.read_log(host)[0]
        if record["outcome"] == "committed" and record["action"] != "restart"
    ]
    at = max((place for place, record in enumerate(committed) if record["tag"] == tag), default=len(committed))
    ends = [record.get("at", 0.0) for record in committed]
    begin = ends[at] - committed[at].get("seconds", 0.0) if at < len(committed) else None
    olds = {
        end: record["tag"]
        for end, record in zip(ends, committed[:at])
        if record["tag"] in (tag, committed[at - 1]["tag"])
    }
    return min(olds, default=None), begin, min(ends[at + 1 :], default=None), frozenset(olds.values())


def failed_deploy_times(host: Host, tag: str) -> tuple[float | None, float | None]:
    """Return begin and end of the newest deploy of `tag` here, which failed; (None, None) if there is none."""
    ends = [record for record in releases.read_log(host)[0] if record["tag"] == tag and "at" in record]
    return (ends[-1]["at"] - ends[-1].get("seconds", 0.0), ends[-1]["at"]) if ends else (None, None)


def overdue_commands(host: Host) -> Iterator[Group]:
    """Yield commands by the clock that are overdue now: no log says so."""
    for role, schedule in timers.schedules(host).items():
        wrong = timers.state(host, role, schedule)["health"]
        if wrong.startswith("overdue"):
            yield group_of_error(time.time(), role, ("overdue", role), role, message=wrong)


def expired_certificates(host: Host) -> Iterator[Group]:
    """Yield certificates that have ended: nginx goes on without a line in a log."""
    served = certificates.expiries(host)
    for text in certificates.expiring_lines(served["ends"], served["now"], 0):
        yield group_of_error(served["now"], "nginx", ("expired", text), "nginx", message=text)


def logged_errors(host: Host, since: float, until: float | None, seconds: float) -> Iterator[Group]:
    """Yield errors that processes and nginx logged, and containers that ended unasked: systemd starts only these again
    itself, except for commands by the clock."""
    timed = timers.schedules(host)
    slots = [
        *((role, slot) for role in host.in_slots() for slot in "ab"),
        *((role, "") for role in [*host.alone(), *timed]),
    ]
    names, units = ({name(*each): each[0] for each in slots} for name in (host.container, host.unit))
    names[nginx_name(host.app)] = "nginx"
    for kind in services.kinds(host):
        names[host.container(kind)] = kind
        units[services.unit(host, kind)] = kind
    exits: dict[str, str] = {}  # unit → the exit code of its last container
    told = Tracebacks()
    for entry in journal_entries([*names], [*units], since, until, seconds):
        name, unit, kind, code = (str(entry.get(key, ""))[:300] for key in FIELDS)
        if unit not in units:
            yield from errors_of_process(told, name, names.get(name, ""), time_of(entry), message_of(entry))
        elif kind == EXITED and units[unit] not in timed:
            exits[unit] = code[:9]
        elif kind == (EXITED if units[unit] in timed else RESTARTS):
            yield container_exit(host, time_of(entry), units[unit], exits.pop(unit, code[:9] or "0"))
    for name, trace in told.whole():
        yield from printed_errors(told, name, names[name], trace)
    for name, trace in told.unread():
        yield unread(trace.at, names[name], "\n".join(trace.lines))


def errors_of_process(told: Tracebacks, name: str, role: str, at: float, text: str) -> Iterator[Group]:
    """Yield the errors in a line of the log, and the traceback that it follows."""
    if not text.startswith(tracebacks.CHAIN):
        for _, trace in told.whole(name):
            yield from printed_errors(told, name, role, trace)
    if role in ("", "nginx", *SERVICES) or not told.take(name, at, text):
        for group in errors_in_line(at, role, text):
            is_second = group["place"] and not told.is_new(name, group, RECORD, PRINTED)
            yield {**group, "count": 0} if is_second else group  # it knows its request


def printed_errors(told: Tracebacks, name: str, role: str, trace: tracebacks.Traceback) -> Iterator[Group]:
    group = group_of_traceback(trace.at, role, trace.lines)
    if told.is_new(name, group, PRINTED, RECORD):
        yield group


def unread(at: float, role: str, text: str) -> Group:
    shown = groups.cut_text({"line": text}, "line", 3000)
    return group_of_error(at, role, ("unread", role), role, message=OTHER_FORM, text=shown)


def errors_in_line(at: float, role: str, text: str) -> Iterator[Group]:
    """Yield the error in a line of the log, if there is one: of nginx a 502 or 504, also if visitors saw it as 503."""
    entry = releases.parse_object(text) or dict(BROKEN.findall(text[:2000]))
    if role in SERVICES:
        yield from errors_of_service(at, role, text)
        return
    failure = GATEWAY.get(str(entry.get("app_status", entry.get("host_status")))[-3:])
    if role == "nginx" and failure:
        yield groups.group_of_record(at, role, {**entry, "logger": role, "message": failure})
    elif role and role != "nginx" and entry.get("level") in ("ERROR", "CRITICAL"):
        yield groups.group_of_record(at, role, entry)
    elif role and role != "nginx" and "logger" not in entry and re.search(UNREAD, text[:2000]):
        yield unread(at, role, text)


def errors_of_service(at: float, role: str, text: str) -> Iterator[Group]:
    if match := re.search(OF_SERVICE, text[:2000]):
        message = match[1].strip(" #")[:300]
        yield group_of_error(at, role, ("service", role, groups.VARYING.sub("N", message)), role, message=message)


def container_exit(host: Host, at: float, role: str, code: str) -> Group:
    signal = int(code) - 128 if code.isdecimal() and 128 < int(code) < 193 else 0
    limit = ", perhaps at " + memory_limit(host) if signal == 9 else ""
    why = f"by signal {signal}{limit}" if signal else "with exit code " + code
    return group_of_error(at, role, ("ended", role, code), role, message="ended " + why)


def memory_limit(host: Host) -> str:
    """Return the limit that docker-runner gives to a container, such as "its memory limit of 400 MB"."""
    set_ = re.search(r"^MEMORY=(\d+)([a-z]?)$", disk.read(host.etc) or "", re.M)
    total = re.search(r"^MemTotal: +(\d+)", disk.read(host.root + "/proc/meminfo") or "", re.M)
    if set_ and int(set_[1]):
        unit = {"g": "GB", "m": "MB", "k": "KB"}.get(set_[2], "bytes")
        return f"its memory limit of {set_[1]} {unit}"
    if set_ or not total:
        return "the end of this host's memory"
    return f"its memory limit of {max(int(total[1]) // 2, 512 * 1024) // 1024} MB"


def journal_entries(
    names: list[str], units: list[str], since: float, until: float | None, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield the entries that fit PATTERN: what has these names, and what systemd says of these units. Raise Problem if
    the search did not end well: journalctl exits with 1 if no entry fits, and only warns of files it passes over."""
    words = [
        f"--since=@{since:.6f}",
        *([f"--until=@{until:.6f}"] if until else []),
        "--output-fields=MESSAGE," + ",".join(FIELDS),
        "--case-sensitive=yes",
        "--grep=" + "|".join(PATTERNS),
        *("SYSLOG_IDENTIFIER=" + name for name in names),
        "+",
        "_PID=1",
        *("UNIT=" + unit for unit in units),
    ]
    with open(os.memfd_create("stderr"), "w+b") as stderr:
        with subprocess.Popen(
            ["timeout", f"{seconds / 2:g}", "journalctl", "--quiet", "--no-pager", "--all", "-o", "json", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=ENVIRONMENT,
        ) as process:
            while process.stdout and (line := process.stdout.readline(LONGEST)):
                yield releases.parse_object(line.decode(errors="replace")) or {}
        stderr.seek(0)
        output = re.sub(r".*, ignoring file\.\n", "", stderr.read().decode(errors="replace"))
    if (code := process.returncode) == 124:
        raise Problem(f"the journal could not be searched within {seconds / 2:g} s: name a shorter time")
    if code not in (0, 1) or (code == 1 and output):
        raise Problem(f"the journal could not be searched: journalctl: {last_output(output, code)}")


def nginx_name(app: str) -> str:
    return app.replace("-", "_") + "_nginx"  # as it is in nginx's files


def time_of(entry: Mapping[str, Any]) -> float:
    text = str(entry.get("__REALTIME_TIMESTAMP"))
    return int(text) / 1e6 if re.fullmatch("[0-9]{1,17}", text) else 0.0


def message_of(entry: Mapping[str, Any]) -> str:
    """Return the text of an entry. journalctl writes what is not UTF-8 as a list of bytes."""
    message = entry.get("MESSAGE")
    if isinstance(message, list) and all(type(byte) is int and 0 <= byte < 256 for byte in message):
        message = bytes(message).decode(errors="replace")
    return message if isinstance(message, str) else ""
