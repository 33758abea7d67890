"""The command `provision`."""

import argparse

from ..config import Fleet
from ..provisioning.provision import provision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing, only list the changes; exit 1 if any")
    parser.add_argument("--remove", metavar="HOST", default="", help="remove the app from this host; its data stays")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int:
    changes = await provision(fleet, fleet.chosen(args.hosts, balancers=True), args.check, args.remove)
    return 1 if args.check and changes else 0
