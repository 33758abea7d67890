"""dbshell: psql in the container of the app's own Postgres, as the role that owns the database."""

import argparse
import sys

from ..config import Fleet
from ..errors import Refused
from ..server import services
from ..ssh.connection import who
from .run import NOTED, attached

PSQL = 'PGPASSWORD=$APP_PASSWORD exec psql -v ON_ERROR_STOP=1 -h "$2" -U "$1" "$1"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no arguments of its own."""


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    host = next((service.host for service in fleet.services if service.kind == "postgres"), None)
    if host is None:
        raise Refused("no host has the role postgres: for a database elsewhere use slipway run manage dbshell")
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    return await attached(fleet.ssh.command(host.address, words(fleet, tty), tty=tty))


def words(fleet: Fleet, tty: bool) -> list[str]:
    """Return the command to run on the host, whose journal says who runs it."""
    name, folder = services.container(fleet.app, "postgres"), services.folder(fleet.app, "postgres")
    inside = ["docker", "exec", "-it" if tty else "-i", name, "sh", "-c", PSQL, "sh", fleet.app, folder]
    return ["sh", "-c", NOTED, "sh", f"{fleet.app}-run", who("dbshell"), *inside]
