"""deploy: brings a release to all servers, or takes it back."""

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ..config import Fleet
from ..errors import DeployError, Locked
from ..screen import display, waterfall
from ..ssh.spans import Span
from . import plan

AGAIN = 10  # seconds between two tries for a lock that somebody else holds
TERMINAL = Path()  # what --timings draws on where it names no file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    plan.add_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the plan and change nothing")
    add_display(parser)


def add_display(parser: argparse.ArgumentParser) -> None:
    """What deploy and rollback take for those who watch them."""
    parser.add_argument("--wait", type=int, default=0, metavar="SECONDS",
                        help="retry so long while somebody else holds the lock")
    parser.add_argument("--json", action="store_true", help="every event as a line of JSON")
    parser.add_argument("--timings", type=picture, nargs="?", const=TERMINAL, metavar="FILE.svg",
                        help="at the end, when each step began on each host and how long it took, drawn here or into"
                             " a file")


def picture(path: str) -> Path:
    """The file that --timings names. Raises ArgumentTypeError where there can be none."""
    file = Path(path)
    if file.suffix != ".svg":
        raise argparse.ArgumentTypeError(f"{path}: the file's name must end in .svg, and a TAG comes before --timings")
    if not os.access(file.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path}: there is no folder {file.parent} that may be written to")
    return file


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    if args.dry_run:
        return await plan.handle(fleet, args)
    show = display.choose(args.json)
    await displayed(plan.deploy_of(fleet, args, show.tell), show, args)


async def displayed(rollout: plan.Rolling, show: display.Background, args: argparse.Namespace) -> None:
    """Do a rollout, which tells `show` how it goes."""
    try:
        await when_free(rollout, args.wait)
    except DeployError as error:
        show.tell({"event": "result", "outcome": "failed", "exit": error.exit_code, "problem": str(error)})
        raise
    finally:
        show.close()
        if args.timings:
            draw(rollout.timings.spans, args.timings)


def draw(spans: Sequence[Span], file: Path) -> None:
    """Show when what was done was done, or write it into a file."""
    if file == TERMINAL:
        return display.put("\n".join(waterfall.lines(spans, shutil.get_terminal_size().columns)), sys.stderr)
    try:
        file.write_text(waterfall.svg(spans), encoding="utf-8")
    except OSError as error:  # what was done is done
        display.put(f"--timings: {file}: {error.strerror}", sys.stderr)


async def when_free(rollout: plan.Rolling, seconds: float) -> None:
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
