"""releases: what ran when, by whom, and what became of it."""

import argparse

from ..config import Fleet
from ..engine import engine_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for machines")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    await engine_of(fleet).releases(args)
