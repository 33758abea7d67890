"""deploy: brings a release to all servers, or takes it back."""

import argparse
import asyncio
import sys

from ..act.rollout import Rollout
from ..decide.config import Fleet
from ..errors import DeployError, Locked
from ..show import display
from . import plan

AGAIN = 10  # seconds between two tries for a lock that somebody else holds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    plan.add_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the plan and change nothing")
    add_display(parser)


def add_display(parser: argparse.ArgumentParser) -> None:
    """What deploy and rollback take for those who watch them."""
    parser.add_argument("--wait", type=int, default=0, metavar="SECONDS",
                        help="retry so long while somebody else holds the lock")
    parser.add_argument("--json", action="store_true", help="every event as a line of JSON")
    parser.add_argument("--timings", action="store_true", help="at the end, the seconds of each step on each host")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    if args.dry_run:
        return await plan.handle(fleet, args)
    show = display.choose(args.json)
    await displayed(plan.deploy_of(fleet, args, show.tell), show, args)


async def displayed(rollout: Rollout, show: display.Background, args: argparse.Namespace) -> None:
    """Do a rollout, which tells `show` how it goes."""
    try:
        await when_free(rollout, args.wait)
    except DeployError as error:
        show.tell({"event": "result", "outcome": "failed", "exit": error.exit_code, "problem": str(error)})
        raise
    finally:
        show.close()
        if args.timings:
            display.put(display.timings(rollout.timings), sys.stderr)


async def when_free(rollout: Rollout, seconds: float) -> None:
    """Do it; while somebody else holds the lock, try again, for so many seconds. Each try decides anew."""
    now = asyncio.get_running_loop().time
    deadline = now() + seconds
    while True:
        try:
            return await rollout.run()
        except Locked as error:
            if now() + AGAIN > deadline:
                raise
            rollout.tell({"event": "waiting", "text": f"{error}; waiting for it"})
            await asyncio.sleep(AGAIN)
