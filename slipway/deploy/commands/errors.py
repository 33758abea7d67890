"""errors: what has failed since the live release was committed, in groups of all hosts."""

import argparse

from ..config import Fleet
from ..errors import DeployError, Refused, indent, on_hosts
from ..log import errors, search
from ..ssh.connections import Connections
from ..ssh.gather import texts
from ..ssh.validate import visible
from . import plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", nargs="?", default="", metavar="GROUP", help="all of this group: its id")
    parser.add_argument(
        "--since", type=search.parse_past_moment, metavar="TIME", help="such as -1h, 14:05 or yesterday"
    )
    parser.add_argument("--release", default="", metavar="TAG", help="only this release's")
    parser.add_argument("--all", action="store_true", help="all that the hosts have kept")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    if args.release:
        plan.check_tag(args.release)
    async with Connections(fleet, fleet.chosen(args.hosts, balancers=True)) as connections:
        problems = await connections.reach()
        groups, others, is_known = await connections.errors(since=0 if args.all else args.since, tag=args.release)
    if args.release and not (is_known or problems or others):
        raise Refused(f"{args.release} was never deployed, or too long ago: see slipway releases")
    chosen = [group for group in groups if args.group in ("", group["id"])]
    if args.group and not (chosen or problems or others):
        raise Refused(f"there is no group {args.group!r}: slipway errors lists them")
    for group in chosen:
        details = errors.group_details(group) if args.group else ()
        print(visible(indent("\n".join([errors.group_lines(group), *details]))))
    if unanswered := problems | texts(others):
        raise DeployError(f"errors are unknown {on_hosts(unanswered)}")
    if not groups:
        print("no errors")
