"""config check: what the configuration says, or all that is wrong with it, which is told when it is loaded."""

import argparse

from ..config import Fleet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["check"], help="check: show the hosts, or all that is wrong")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    print(f"{fleet.app}, image {fleet.image}")
    for host in fleet.hosts:
        print(f"  {host.name:12} {host.address:24} {' '.join(host.roles)}{' balancer' * host.balancer}")
