"""The command `provision`."""

import argparse
import asyncio
from collections.abc import Coroutine
from typing import Any

from ..config import Fleet
from ..provisioning import virtualenv
from ..provisioning.provision import host_to_remove, provision
from ..provisioning.withdrawal import withdraw
from ..ssh.interrupts import run_interruptible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing, only list the changes; exit 1 if any")
    parser.add_argument("--remove", metavar="HOST", default="", help="remove the app from this host; its data stays")


def handle(fleet: Fleet, args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    if not (args.check or virtualenv.was_started_again()):  # before all that may fail
        hosts = [host_to_remove(fleet, args.remove)] if args.remove else fleet.chosen(args.hosts, balancers=True)
        asyncio.run(run_interruptible(withdraw(fleet, hosts, bool(args.remove))))
    virtualenv.enter()
    return work(fleet, args)


async def work(fleet: Fleet, args: argparse.Namespace) -> int:
    changes = await provision(fleet, fleet.chosen(args.hosts, balancers=True), args.check, args.remove)
    return 1 if args.check and changes else 0
