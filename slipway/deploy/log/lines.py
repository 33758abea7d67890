"""The lines of hosts' logs, as people read them. Does no I/O."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..agent.errors import message_of, time_of
from ..agent.releases import parse_object
from ..ssh.validate import visible

COLOURS = {"WARNING": 33, "ERROR": 31, "CRITICAL": 31}


def one_line(entry: Mapping[str, Any]) -> str:
    """Return an entry's text in one line, without control characters."""
    return visible(message_of(entry)).replace("\n", "\\n")


def format_entry(host: str, app: str, entry: Mapping[str, Any], coloured: bool = False) -> str:
    """Return an entry's time, host, role and text; its second and later lines are indented."""
    time = datetime.fromtimestamp(time_of(entry)).strftime("%m-%d %H:%M:%S.%f")[:-3]
    role = str(entry.get("SYSLOG_IDENTIFIER", "")).rpartition("_")[2].removeprefix(f"{app}-")
    return f"{time} {host} {role} {format_line(one_line(entry), coloured)}".replace("\n", "\n    ")


def format_line(line: str, coloured: bool = False) -> str:
    """Return the level, logger and message of a line of Slipway's log, and below it the traceback; others unchanged."""
    entry = parse_object(line) or {}
    record = {key: visible(str(value)) for key, value in entry.items() if isinstance(value, str | int)}
    level = record.get("level", "")
    logger = record.get("logger", "")
    visit = " ".join(record[key] for key in ("method", "path", "status") if key in record)
    if coloured and level in COLOURS:
        level = f"\033[{COLOURS[level]}m{level}\033[m"
    text = " ".join(filter(None, [level, logger and f"{logger}:", record.get("message") or visit or line]))
    return "\n".join([text, *(record[key] for key in ("exception", "stack") if record.get(key))])
