"""The lines of hosts' logs, as people read them. Does no I/O."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ..ssh.validate import seen, visible

COLOURS = {"WARNING": 33, "ERROR": 31, "CRITICAL": 31}
LATEST = 250e9  # seconds since the epoch, before the year 9999


class Line(NamedTuple):
    at: float
    host: str
    role: str
    raw: str  # without control characters


def from_journal(host: str, app: str, entry: Mapping[str, Any]) -> Line:
    """Return an entry of `journalctl -o json`, which writes what is not UTF-8 as a list of bytes."""
    at, message = str(entry.get("__REALTIME_TIMESTAMP")), entry.get("MESSAGE")
    if isinstance(message, list) and all(type(byte) is int and 0 <= byte < 256 for byte in message):
        message = visible(bytes(message).decode(errors="replace"))
    role = str(entry.get("SYSLOG_IDENTIFIER", "")).removeprefix(f"{app}-")
    return Line(int(at[:17]) / 1e6 if re.fullmatch("[0-9]+", at) else 0.0, host, role,
                message.replace("\n", "\\n") if isinstance(message, str) else "")


def parsed(raw: str) -> dict[str, Any]:
    """Return the fields of one of Slipway's log lines, or of nginx's; {} if it is none."""
    try:
        found = seen(json.loads(raw))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def shown(line: Line, coloured: bool = False) -> str:
    """Return a line's text: time, host, role, level, logger and message; below it the traceback, indented."""
    entry = parsed(line.raw)
    level, logger = (str(entry.get(key) or "") for key in ("level", "logger"))
    visit = " ".join(str(entry[key]) for key in ("method", "path", "status") if key in entry)
    text = str(entry.get("message") or visit or line.raw)
    colour = COLOURS.get(level, 0) if coloured else 0
    level = f"\033[{colour}m{level}\033[m" if colour else level
    time = datetime.fromtimestamp(min(line.at, LATEST)).strftime("%m-%d %H:%M:%S.%f")[:-3]
    begin = " ".join(filter(None, [time, line.host, line.role, level, logger and f"{logger}:"]))
    more = [str(entry[key]) for key in ("exception", "stack") if entry.get(key)]
    return "\n".join([f"{begin} {text}", *more]).replace("\n", "\n    ")
