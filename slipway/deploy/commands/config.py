"""`config check`: show the hosts. The configuration is valid here, because a wrong one fails to load."""

import argparse

from ..config import Fleet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["check"], help="check: list the hosts, or all problems")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    print(f"{fleet.app}, image {fleet.image}")
    for host in fleet.hosts:
        print(f"  {host.name:12} {host.address:24} {' '.join(host.roles)}{' balancer' * host.balancer}")
