"""The command `releases`."""

import argparse

from ..config import Fleet
from ..engine import engine_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    await engine_of(fleet).releases(args)
