"""backups: list what the repository has, and what a restore of each loses."""

import argparse
import json
import math
from collections.abc import Iterator

from ..agent.backups import Listed
from ..backup.shell import megabytes, told
from ..backup_status import duration
from ..config import Fleet
from ..screen.text_tables import table
from .docker_backup import ask_agent, backup_host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    listed: Listed = await ask_agent(fleet, backup_host(fleet), "backups_listed")
    print(json.dumps(listed) if args.json else "\n".join(lines(listed)))


def lines(listed: Listed) -> Iterator[str]:
    """Yield what can be brought back, to whole seconds of which each can: the first is rounded up, the last down."""
    rows = [
        (
            told(math.ceil(base["at"])),
            told(base["until"]),
            megabytes(base["bytes"]),
            duration(listed["now"] - base["until"]),
        )
        for base in listed["bases"]
    ]
    if rows or not listed["dumps"]:
        yield table([("any second from", "to", "database", "loses"), *rows])
    for begin, end in listed.get("lost_since", []):
        until = "yet" if end is None else f"until {told(math.ceil(end))}"
        yield f"no second after {told(begin or 0)} can be brought back {until}"
    yield from (f"dump: {told(at)}" for at in listed["dumps"])
    if listed["files"]:
        yield f"files: {told(listed['files'])}"
