"""rollback: brings the release before back, everywhere."""

import argparse

from ..act.rollout import Rollout
from ..decide.config import Fleet
from ..decide.plan import Options
from ..reach.answers import Tell
from ..show import display
from . import deploy, plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="TAG", default="", help="to this release instead of the one before")
    plan.add_risks(parser)
    deploy.add_display(parser)


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    show = display.choose(args.json)
    await deploy.displayed(rollback_of(fleet, args, show.tell), show, args)


def rollback_of(fleet: Fleet, args: argparse.Namespace, tell: Tell) -> Rollout:
    """The rollback that is asked for. Raises Refused for what is no tag."""
    if args.to:
        plan.check_tag(args.to)
    return Rollout(fleet, fleet.chosen(args.hosts), tell, "rollback", args.to,
                   Options(allow_incompatible=args.allow_incompatible), args.skip_unreachable)
