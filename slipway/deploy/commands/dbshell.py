"""dbshell: psql in the container of the app's own Postgres, as the role that owns the database."""

import argparse

from ..config import Fleet
from ..errors import Refused
from ..server import services
from ..ssh.connection import who
from .run import NOTED, at_terminal, run_attached

PSQL = 'PGPASSWORD=$APP_PASSWORD exec psql -v ON_ERROR_STOP=1 -h "$2" -U "$1" "$1"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no arguments of its own."""


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    host = fleet.postgres_host
    if host is None:
        raise Refused("no host has the role postgres: for a database elsewhere use slipway run manage dbshell")
    tty = at_terminal()
    return await run_attached(host, fleet.ssh.command(host.address, psql_words(fleet, tty), tty=tty))


def psql_words(fleet: Fleet, tty: bool) -> list[str]:
    return command_in_postgres(fleet, "dbshell", PSQL, "-it" if tty else "-i")


def command_in_postgres(fleet: Fleet, action: str, script: str, *options: str) -> list[str]:
    """Return the command to run on the host, whose journal says who runs which `action`: a shell script in the
    database's container. $1: the app, whose role's password is $APP_PASSWORD; $2: the folder of the socket."""
    name = services.container(fleet.app, "postgres")
    folder = services.folder(fleet.app, "postgres")
    inside = ["docker", "exec", *options, name, "sh", "-c", script, "sh", fleet.app, folder]
    return ["sh", "-c", NOTED, "sh", f"{fleet.app}-run", who(action), *inside]
