"""Runs docker-backup on the hosts that send backups, for several commands."""

import re
import sys
import time
from typing import Any

from ..config import Fleet, Host
from ..errors import DeployError, HostProblem, Refused
from ..ssh.connection import ask_once, run
from ..ssh.gather import on_one
from ..ssh.validate import decoded, first_line
from .run import at_terminal, run_attached, with_journal_entry

ANSWER = 300  # seconds
# The live release's migrations, if there is a live release; of a dead database by an empty one. $1: the app
PLAN = """
set -- "$1" manage showmigrations --plan
[ ! -e "/var/www/$1/TAG" ] || docker-runner "$@" 2>/dev/null ||
    EXTRA="${EXTRA:-} -e DATABASE_URL=sqlite://:memory:" docker-runner "$@"
"""


def backup_host(fleet: Fleet) -> Host:
    """Return the host whose backups matter first: that with the database. Raise Refused if there are none."""
    if not fleet.backup_hosts:
        raise Refused("there are no backups: add [backup] to production.toml, as docs/backup.md shows")
    return fleet.backup_hosts[0]


def database_host(fleet: Fleet) -> Host:
    """Return the host with the database. Raise Refused if no host has backups of it."""
    if fleet.postgres_host is None or not fleet.backup_hosts:
        raise Refused(
            "no host has the role postgres, or there is no [backup] in production.toml: see docs/backup.md. Of a "
            "database elsewhere there are dumps: slipway dump --at latest"
        )
    return fleet.postgres_host


async def run_docker_backup(fleet: Fleet, host: Host, action: str, *words: str) -> int | None:
    """Run docker-backup on the host with this process's terminal; the host's journal says who does. It tells times in
    this machine's zone. Return its exit code."""
    tty = at_terminal()
    command = ["env", f"TZ={zone()}", "docker-backup", action, fleet.app, *words]
    command = with_journal_entry(fleet.app, [f"backup {action}"], command, tty)
    return await run_attached(host, fleet.ssh.command(host.address, command, tty=tty))


def zone() -> str:
    """Return this machine's offset from UTC as a value of TZ, which counts westwards, such as <+0100>-01:00."""
    offset = time.strftime("%z")
    return f"<{offset}>{'-' if offset[0] == '+' else '+'}{offset[1:3]}:{offset[3:5]}"


async def release_migrations(fleet: Fleet) -> list[str] | None:
    """Ask one host after another for the live release's migrations, such as "shop 0001_initial"; [] if no release is
    live. If a host cannot tell, print why; if none can, return None: who brings a database back may have lost the app,
    too."""
    unknown = False
    for host in dict.fromkeys([*fleet.with_role("web"), *fleet.app_hosts]):
        try:
            listed = await on_one(host, plan(fleet, host))
        except DeployError as error:
            print(f"the live release cannot tell its migrations: {first_line(str(error))}", file=sys.stderr)
            unknown = True
            continue
        if listed:
            return [" ".join(name) for name in re.findall(r"^\[[X ]\]\s+(\S+)\.(\S+)", listed, re.MULTILINE)]
    return None if unknown else []


async def plan(fleet: Fleet, host: Host) -> str:
    done = await run(host, fleet.ssh, ["sh", "-c", PLAN, "sh", fleet.app], timeout=ANSWER)
    if done.code:
        raise HostProblem(decoded(done.err).split("\n")[-1])
    return decoded(done.out)


async def ask_agent(fleet: Fleet, host: Host, request: str) -> Any:
    """Return the answer of a host's agent, which may have to ask the repository. Raise DeployError if it has none."""
    return await on_one(host, ask_once(host, fleet.ssh, fleet.app, request, ANSWER))
