"""plan, deploy and rollback as they are typed. Each takes the fleet, how it is reached, and the parsed arguments."""

import argparse
import asyncio
import re
import sys
from collections.abc import Awaitable, Callable

from . import display, source
from .config import Fleet
from .errors import DeployError, Locked, Refused
from .plan import Options, shown
from .rollout import Rollout
from .shapes import Tell
from .ssh import Ssh

AGAIN = 10  # seconds between two tries for a lock that somebody else holds
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"


async def plan(fleet: Fleet, ssh: Ssh, args: argparse.Namespace) -> None:
    rollout = rollout_of(fleet, ssh, args, "deploy", display.Lines(sys.stderr).tell)
    print("\n".join(shown(await rollout.plan())))


async def deploy(fleet: Fleet, ssh: Ssh, args: argparse.Namespace) -> None:
    await (plan(fleet, ssh, args) if args.dry_run else watched(fleet, ssh, args, "deploy"))


async def rollback(fleet: Fleet, ssh: Ssh, args: argparse.Namespace) -> None:
    await watched(fleet, ssh, args, "rollback")


async def watched(fleet: Fleet, ssh: Ssh, args: argparse.Namespace, action: str) -> None:
    """Do it with a display."""
    show = display.choose(args.json)
    rollout = rollout_of(fleet, ssh, args, action, show.tell)
    try:
        await patiently(rollout.run, args.wait, show.tell)
    except DeployError as error:
        show.tell({"event": "result", "outcome": "failed", "exit": error.exit_code, "problem": str(error)})
        raise
    finally:
        show.close()
        if args.timings:
            display.put(display.timings(rollout.timings), sys.stderr)


async def patiently(run: Callable[[], Awaitable[None]], seconds: float, tell: Tell) -> None:
    """Run; while somebody else holds the lock, again, for so many seconds. Each look is a new one."""
    now = asyncio.get_running_loop().time
    deadline = now() + seconds
    while True:
        try:
            return await run()
        except Locked as error:
            if now() + AGAIN > deadline:
                raise
            tell({"event": "waiting", "text": f"{error}; waiting for it"})
            await asyncio.sleep(AGAIN)


def rollout_of(fleet: Fleet, ssh: Ssh, args: argparse.Namespace, action: str, tell: Tell) -> Rollout:
    tag = args.to if action == "rollback" else args.tag
    if not re.fullmatch(TAG, tag) and (tag or action != "rollback"):
        raise Refused(f"{tag!r} is no tag of an image: say which release, TAG=build-42")
    if action == "deploy" and tag.endswith("-dirty") and not args.allow_dirty:
        raise Refused(source.DIRTY.format(tag))
    more = {} if action == "rollback" else {"parallel": args.parallel, "bake": not args.no_bake,
                                            "allow_dirty": args.allow_dirty}
    options = Options(allow_incompatible=args.allow_incompatible, **more)
    return Rollout(fleet, ssh, fleet.chosen(args.hosts), tell, action, tag, options, args.skip_unreachable)
