"""The command `deploy`."""

import argparse
import asyncio
import contextlib

from ..config import Fleet
from ..engine import Rolling
from ..errors import DeployError, Locked
from ..screen import display
from ..ssh.validate import Event
from ..view.own_deploy import OwnDeploy
from . import plan

AGAIN = 10  # seconds between tries for a lock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    plan.add_arguments(parser)
    add_display(parser)
    parser.add_argument("--view", action="store_true", help="show it on a page in the browser")


def add_display(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        type=int,
        default=0,
        metavar="SECONDS",
        help="how long to retry if somebody else holds the lock; default: 0",
    )
    parser.add_argument("--json", action="store_true", help="print every event as a line of JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    show = display.choose(args.json)
    own = OwnDeploy()

    def tell(event: Event) -> None:
        own.tell(event)
        show.tell(event)

    rollout = plan.deploy_from_args(fleet, args, tell)
    page: contextlib.AbstractAsyncContextManager[None] = contextlib.nullcontext()
    if args.view:
        from . import view  # only when needed: it loads slowly

        page = view.show_deploy(fleet, own)
    async with page:
        await run_on_display(rollout, show, args.wait)


async def run_on_display(rollout: Rolling, show: display.Background, wait: int) -> None:
    try:
        await run_when_unlocked(rollout, wait)
    except DeployError as error:
        rollout.tell({"event": "result", "outcome": "failed", "exit": error.exit_code, "problem": str(error)})
        raise
    finally:
        show.close()


async def run_when_unlocked(rollout: Rolling, seconds: float) -> None:
    """Run a rollout. While somebody else locks a host, retry for at most `seconds`, each time with a new plan."""
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
