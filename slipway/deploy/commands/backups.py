"""backups: list what the repository has, and what a restore of each loses."""

import argparse
import json

from ..backup.shell import megabytes
from ..backup_status import duration
from ..config import Fleet
from ..log.errors import clock
from ..screen.text_tables import table
from .docker_backup import ask_agent, backup_host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    listed = await ask_agent(fleet, backup_host(fleet), "backups_listed")
    if args.json:
        print(json.dumps(listed))
        return
    rows = [
        (
            clock(base["at"]),
            clock(base["until"]),
            megabytes(base["bytes"]),
            duration(listed["now"] - base["until"]),
        )
        for base in listed["bases"]
    ]
    if rows or not listed["dumps"]:
        print(table([("any second from", "to", "database", "loses"), *rows]))
    for at in listed["dumps"]:
        print(f"dump: {clock(at)}")
    if listed["files"]:
        print(f"files: {clock(listed['files'])}")
