"""The lines of hosts' logs, as people read them. Does no I/O."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ..agent.errors import message_of, time_of
from ..agent.releases import parse_object
from ..ssh.validate import seen, visible

COLOURS = {"WARNING": 33, "ERROR": 31, "CRITICAL": 31}


class Line(NamedTuple):
    at: float
    host: str
    role: str
    raw: str  # without control characters


def from_journal(host: str, app: str, entry: Mapping[str, Any]) -> Line:
    role = str(entry.get("SYSLOG_IDENTIFIER", "")).rpartition("_")[2].removeprefix(f"{app}-")
    return Line(time_of(entry), host, role, visible(message_of(entry)).replace("\n", "\\n"))


def shown(line: Line, coloured: bool = False) -> str:
    """Return a line's text: time, host, role, level, logger and message; below it the traceback, indented."""
    entry = seen(parse_object(line.raw) or {})
    level, logger = (str(entry.get(key) or "") for key in ("level", "logger"))
    visit = " ".join(str(entry[key]) for key in ("method", "path", "status") if key in entry)
    text = str(entry.get("message") or visit or line.raw)
    colour = COLOURS.get(level, 0) if coloured else 0
    level = f"\033[{colour}m{level}\033[m" if colour else level
    time = datetime.fromtimestamp(line.at).strftime("%m-%d %H:%M:%S.%f")[:-3]
    begin = " ".join(filter(None, [time, line.host, line.role, level, logger and f"{logger}:"]))
    more = [str(entry[key]) for key in ("exception", "stack") if entry.get(key)]
    return "\n".join([f"{begin} {text}", *more]).replace("\n", "\n    ")
