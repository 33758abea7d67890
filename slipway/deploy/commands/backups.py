"""backups: list what the repository has, and what a restore of each loses."""

import argparse
import json

from ..backup.shell import megabytes
from ..backup_status import duration
from ..config import Fleet
from ..log.errors import clock
from ..screen.text_tables import table
from .docker_backup import asked, host_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    found = await asked(fleet, host_of(fleet), "backups_listed")
    if args.json:
        print(json.dumps(found))
        return
    rows = [
        (
            clock(base["at"]),
            clock(base["until"]),
            megabytes(base["bytes"]),
            duration(found["now"] - base["until"]),
        )
        for base in found["bases"]
    ]
    if rows or not found["dumps"]:
        print(table([("any second from", "to", "database", "loses"), *rows]))
    for at in found["dumps"]:
        print(f"dump: {clock(at)}")
    if found["files"]:
        print(f"files: {clock(found['files'])}")
