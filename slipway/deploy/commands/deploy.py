"""deploy: brings a release to all servers, or takes it back."""

import argparse
import asyncio

from ..config import Fleet
from ..engine import Rolling
from ..errors import DeployError, Locked
from ..screen import display
from . import plan

AGAIN = 10  # seconds between two tries for a lock that somebody else holds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    plan.add_arguments(parser)
    add_display(parser)


def add_display(parser: argparse.ArgumentParser) -> None:
    """What deploy and rollback take for those who watch them."""
    parser.add_argument("--wait", type=int, default=0, metavar="SECONDS",
                        help="retry so long while somebody else holds the lock")
    parser.add_argument("--json", action="store_true", help="every event as a line of JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    show = display.choose(args.json)
    await displayed(plan.deploy_of(fleet, args, show.tell), show, args.wait)


async def displayed(rollout: Rolling, show: display.Background, wait: int) -> None:
    """Do a rollout, which tells `show` how it goes; `wait`: seconds for the lock."""
    try:
        await when_free(rollout, wait)
    except DeployError as error:
        show.tell({"event": "result", "outcome": "failed", "exit": error.exit_code, "problem": str(error)})
        raise
    finally:
        show.close()


async def when_free(rollout: Rolling, seconds: float) -> None:
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
