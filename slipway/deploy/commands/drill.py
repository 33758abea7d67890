"""drill: restore the newest backup into a copy that is thrown away, and tell what came back."""

import argparse

from ..config import Fleet
from .docker_backup import attached_to, database_host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no arguments of its own."""


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    return await attached_to(fleet, database_host(fleet), "drill")
