"""The lines of hosts' logs, as people read them. Does no I/O."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..agent.errors import message_of, time_of
from ..agent.releases import parse_object
from ..ssh.validate import seen, visible

COLOURS = {"WARNING": 33, "ERROR": 31, "CRITICAL": 31}


def raw(entry: Mapping[str, Any]) -> str:
    """Return an entry's text in one line, without control characters."""
    return visible(message_of(entry)).replace("\n", "\\n")


def shown(host: str, app: str, entry: Mapping[str, Any], coloured: bool = False) -> str:
    """Return an entry's text: time, host, role, level, logger and message; below it the traceback, indented."""
    role = str(entry.get("SYSLOG_IDENTIFIER", "")).rpartition("_")[2].removeprefix(f"{app}-")
    record = seen(parse_object(raw(entry)) or {})
    level, logger = (str(record.get(key) or "") for key in ("level", "logger"))
    visit = " ".join(str(record[key]) for key in ("method", "path", "status") if key in record)
    text = str(record.get("message") or visit or raw(entry))
    colour = COLOURS.get(level, 0) if coloured else 0
    level = f"\033[{colour}m{level}\033[m" if colour else level
    time = datetime.fromtimestamp(time_of(entry)).strftime("%m-%d %H:%M:%S.%f")[:-3]
    begin = " ".join(filter(None, [time, host, role, level, logger and f"{logger}:"]))
    more = [str(record[key]) for key in ("exception", "stack") if record.get(key)]
    return "\n".join([f"{begin} {text}", *more]).replace("\n", "\n    ")
