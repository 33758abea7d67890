"""watch: whether enough hosts are up and have room, by the rules of [watch]; alerts by a hook."""

import argparse
import asyncio

from ..config import Fleet
from ..monitor import Watcher
from ..screen import display


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="ask each host once, tell, exit 1 when a rule is broken")
    parser.add_argument("--json", action="store_true", help="every event as a line of JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int:
    """Without --once it goes on until Ctrl-C or TERM, which is its proper end."""
    hosts, show = fleet.chosen(args.hosts), display.choose(args.json)
    try:
        watcher = Watcher(fleet, hosts, show.tell)
        if args.once:
            return 0 if await watcher.once() else 1
        await watcher.watch()
    except asyncio.CancelledError:
        if args.once:  # it has not told yet
            raise
    finally:
        show.close()
    return 0
