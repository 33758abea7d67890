"""drill: restore the newest backup into a copy that is thrown away, and tell what came back."""

import argparse

from ..config import Fleet
from .docker_backup import database_host, release_migrations, run_docker_backup


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no arguments of its own."""


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    host = database_host(fleet)
    return await run_docker_backup(fleet, host, "drill", ",".join(await release_migrations(fleet) or []))
