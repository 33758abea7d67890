"""The command `rollback`."""

import argparse

from ..config import Fleet
from ..engine import Rolling, engine_of
from ..rollout.plan import Options
from ..screen import display
from ..ssh.validate import Tell
from . import deploy, plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="TAG", default="", help="go back to this release, not to the one before")
    plan.add_risks(parser)
    deploy.add_display(parser)


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    show = display.choose(args.json)
    await deploy.run_on_display(rollback_from_args(fleet, args, show.tell), show, args.wait)


def rollback_from_args(fleet: Fleet, args: argparse.Namespace, tell: Tell) -> Rolling:
    if args.to:
        plan.check_tag(args.to)
    options = Options(args.allow_incompatible)
    return engine_of(fleet).rollout("rollback", args.to, options, args, tell)
