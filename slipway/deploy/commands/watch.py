"""The command `watch`."""

import argparse
import asyncio

from ..config import Fleet
from ..monitor import Watcher
from ..screen import display


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="check once; exit 1 if this check fails")
    parser.add_argument("--json", action="store_true", help="print every event as a line of JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int:
    """Watch the hosts until interrupted; return 0. With --once, check once; return 1 if a rule is broken, else 0."""
    hosts = fleet.chosen(args.hosts)
    show = display.choose(args.json)
    try:
        watcher = Watcher(fleet, hosts, show.tell, fleet.chosen(args.hosts, balancers=True))
        if args.once:
            return 0 if await watcher.once() else 1
        await watcher.watch()
    except asyncio.CancelledError:
        if args.once:  # interrupted before the first result: fail
            raise
    finally:
        show.close()
    return 0
