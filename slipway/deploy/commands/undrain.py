"""undrain: balancers send a web host visitors again."""

import argparse

from ..config import Fleet
from ..provisioning.provision import drain
from .drain import balancers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    await drain(fleet, balancers(fleet, args.hosts), args.host, away=False)
