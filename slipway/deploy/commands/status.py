"""status: what runs where, and what is not as it should be."""

import argparse

from ..config import Fleet
from ..engine import engine_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for machines")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int:
    """Exit code 1 when anything is not as it should be."""
    return await engine_of(fleet).status(args)
