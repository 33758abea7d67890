"""How commands run docker-backup on the hosts that send backups."""

import sys
from typing import Any

from ..config import Fleet, Host
from ..errors import Refused
from ..ssh.connection import Connection, who
from ..ssh.gather import on_one
from .run import HEARD, NOTED, attached


def host_of(fleet: Fleet) -> Host:
    """Return the host whose backups matter first: that with the database. Raise Refused if there are none."""
    if not fleet.backup_hosts:
        raise Refused("there are no backups: add [backup] to production.toml, as docs/backup.md shows")
    return fleet.backup_hosts[0]


def database_host(fleet: Fleet) -> Host:
    """Return the host with the database. Raise Refused if no host has backups of it."""
    if fleet.postgres_host is None or not fleet.backup_hosts:
        raise Refused("no host has the role postgres, or there is no [backup] in production.toml: see docs/backup.md")
    return fleet.postgres_host


async def attached_to(fleet: Fleet, host: Host, action: str, *words: str) -> int | None:
    """Run docker-backup on the host with this process's terminal; the host's journal says who does. Return its exit
    code."""
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    command = ["docker-backup", action, fleet.app, *words]
    noted = ["sh", "-c", NOTED if tty else HEARD, "sh", f"{fleet.app}-run", who(f"backup {action}"), *command]
    return await attached(fleet.ssh.command(host.address, noted, tty=tty))


async def asked(fleet: Fleet, host: Host, request: str, timeout: float = 300, **args: str) -> Any:
    """Return the answer of a host's agent. Raise DeployError if it has none."""
    connection = Connection(host, fleet.ssh, fleet.app)
    try:
        await on_one(host, connection.open())
        return await on_one(host, connection.ask(request, timeout, **args))
    finally:
        await connection.close()
