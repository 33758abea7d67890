"""watch: whether enough is up, and well enough, by the rules of [watch]; alerts by a hook."""

import argparse
import asyncio

from ..config import Fleet
from ..monitor.looking import Sender, Watcher
from ..rollout import hooks
from ..screen import board
from ..ssh.gather import together

HOOK = 30  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="look twice, tell, exit 1 when a rule is broken")
    parser.add_argument("--json", action="store_true", help="every event as a line of JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int:
    """Without --once it goes on until Ctrl-C or TERM, which is its proper end."""
    hosts, show = fleet.chosen(args.hosts), board.choose(args.json, args.once)
    try:
        if args.once:
            return 0 if await Watcher(fleet, hosts, show.tell).once() else 1
        command = fleet.hooks["alert"]
        sender = Sender(lambda alert: hooks.failure(command, alert, HOOK),
                        lambda text: show.tell({"event": "warning", "text": text}))
        watcher = Watcher(fleet, hosts, show.tell, show.live, sender.waiting.put_nowait if command else lambda _: None)
        await together(lambda work: work, [watcher.watch(), sender.send()])
    except asyncio.CancelledError:  # a signal: it is how this ends, but for --once, which has told nothing yet
        if args.once:
            raise
    finally:
        show.close()
    return 0
