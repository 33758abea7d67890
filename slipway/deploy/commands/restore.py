"""restore: bring the database back, as it was at a time or at a release: beside the living one, then in its place."""

import argparse
import re
import sys
from collections.abc import Sequence

from .. import moments
from ..agent.backups import Restored
from ..agent.message_types import TAG
from ..backup.shell import told
from ..backup_status import duration
from ..config import Fleet, Host
from ..errors import DeployError, Refused, on_hosts
from ..ssh.connection import who
from ..ssh.connections import Connections, locked
from ..ssh.gather import on_one
from ..ssh.validate import decoded
from .docker_backup import ask_agent, backup_host, database_host, release_migrations, run_docker_backup
from .maintenance import page_meanwhile
from .upgrade import confirm

SWAP = 600  # seconds that a swap may take
MIGRATE = 3600
CLOSED = 3  # seconds for which visitors see the maintenance page, as measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at",
        default="",
        metavar="TIME",
        help=f"latest, {moments.EXAMPLE}, a release (build-42), or before:build-42: before it migrated",
    )
    parser.add_argument("--beside", action="store_true", help="only restore it beside the living one, to look at it")
    parser.add_argument("--swap", action="store_true", help="put in its place what has been restored --beside")
    parser.add_argument("--migrate", action="store_true", help="run the migrations that the restored data lack")
    parser.add_argument("--files", action="store_true", help="only bring back uploads, and a bare host's settings")
    parser.add_argument("--discard", action="store_true", help="remove what has been restored --beside")
    parser.add_argument("--yes", action="store_true", help="do not ask")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    if args.files:
        at = moments.parse_latest(args.at or "latest")
        return await run_docker_backup(fleet, host_of_files(fleet), "put-back", at)
    host = database_host(fleet)
    if args.discard:
        return await run_docker_backup(fleet, host, "discard")
    if not args.swap:
        code = await run_docker_backup(fleet, host, "beside", parse_moment(args.at))
        if code:
            return code
    restored: Restored = await ask_agent(fleet, host, "restored")
    print("\n".join(describe(host, restored)))
    if args.beside:
        print(f"look: ssh {host.address} docker exec -it {fleet.app}-restored psql -h /tmp -U postgres {fleet.app}")
        print("then: slipway restore --swap, or slipway restore --discard")
        return None
    pending = await lacking_migrations(fleet, restored)
    if pending and not args.migrate:
        raise Refused(refusal_of_swap(pending, restored))
    if not args.yes and not confirm(question(pending)):
        raise Refused("the living database serves on; swap later by slipway restore --swap, or add --yes")
    reached = await reachable(fleet, host)
    await swap(fleet, host, reached, args.migrate and pending != [])
    return await put_back(fleet, reached, restored)


def parse_moment(text: str) -> str:
    """Return what docker-backup takes. Raise Refused if the text is neither a time nor a release."""
    if not text:
        raise Refused('say what to bring back: --at latest, --at "2026-11-24 02:20", --at build-42')
    # No tag has a space, and a colon only after "before": so one of digits alone is no time.
    return text if re.fullmatch(f"(before:)?{TAG}", text) else f"@{moments.parse(text)}"


def describe(host: Host, restored: Restored) -> list[str]:
    """Return lines that tell what has been restored, and what a swap would lose."""
    age = duration(restored["now"] - restored["newest"])
    what = f"{restored['tables']} tables, {restored['rows']:,} rows, last changed {told(restored['newest'])}"
    lost = "an unknown number of" if restored["lost"] is None else f"{restored['lost']:,}"
    release = f"; the release then was {restored['release']}" if restored["release"] else ""
    unlogged = restored.get("unlogged")
    empty = f"; {unlogged} unlogged tables are empty" if unlogged else ""
    return [
        f"{host.name}: restored: {what}{empty}{release}",
        f"{host.name}: a swap loses {age}, {lost} transactions of the living database",
    ]


def host_of_files(fleet: Fleet) -> Host:
    """Return the host that sends uploads and settings. Raise Refused if there are no backups."""
    backup_host(fleet)
    return fleet.backup_hosts[-1]


async def lacking_migrations(fleet: Fleet, restored: Restored) -> list[str] | None:
    """Return the migrations of the live release that the restored database lacks; [] if no release is live, None if
    they are unknown."""
    needed, applied = await release_migrations(fleet), {*restored["migrations"]}
    return None if needed is None else [name.replace(" ", ".") for name in needed if name not in applied]


def question(pending: Sequence[str] | None) -> str:
    unknown = "Whether the restored database has the live release's migrations is unknown. " if pending is None else ""
    return f"{unknown}Visitors see the maintenance page for about {CLOSED} s. Swap? [y/N] "


def refusal_of_swap(pending: Sequence[str], restored: Restored) -> str:
    then = f" --to {restored['release']}" if restored["release"] else ""
    return (
        f"the live release needs {', '.join(pending)}, which the restored database lacks: run slipway rollback{then},"
        " then slipway restore --swap; or add --migrate, which runs them after the swap"
    )


async def run_and_print(connections: Connections, host: Host, script: str, seconds: float) -> None:
    """Run a command on a locked host, and print what it says. Raise DeployError if it fails."""
    done = await on_one(host, connections.connections[host.name].command(script, timeout=seconds))
    if done.code:
        raise DeployError(f"{host.name}: {decoded(done.err)}")
    if done.out:
        print(f"{host.name}: {decoded(done.out)}")


async def reachable(fleet: Fleet, host: Host) -> list[Host]:
    """Return the hosts that can be reached, and tell of the others, without which a database comes back, too. Raise
    Refused if that with the database is among them."""
    needed = [each for each in fleet.hosts if each.roles or each.balancer or each == host]
    async with Connections(fleet, needed) as connections:
        problems = await connections.reach()
        if host.name in problems:
            raise Refused(on_hosts({host.name: problems[host.name]}))
        for name, texts in problems.items():
            print(f"{name}: {texts[0]}: the database comes back without it", file=sys.stderr)
        return connections.hosts


async def swap(fleet: Fleet, host: Host, reached: Sequence[Host], migrate: bool) -> None:
    """Put the restored database in place of the living one, while visitors see the maintenance page of those hosts
    that were reached."""
    apps = [other for other in fleet.app_hosts if other in reached]
    hosts = [other for other in reached if other.roles or other.balancer]
    if migrate and not apps:
        raise Refused("--migrate: no host with the app can be reached, so the living database serves on")
    everyone = list({each.name: each for each in (*apps, host)}.values())
    async with (
        locked(fleet, everyone, who("restore"), bare=True) as connections,
        page_meanwhile(fleet, hosts),
    ):
        await run_and_print(connections, host, f"docker-backup swap {fleet.app}", SWAP)
        if migrate:
            await run_and_print(connections, apps[0], f"docker-runner {fleet.app} migrate", MIGRATE)
    print("the restored database serves", file=sys.stderr)


async def put_back(fleet: Fleet, reached: Sequence[Host], restored: Restored) -> int | None:
    """Bring uploads back as they were then, or say how to do that later."""
    host = host_of_files(fleet)
    if host in reached:
        return await run_docker_backup(fleet, host, "put-back", str(restored["newest"]))
    at = told(restored["newest"])
    print(f'{host.name}: its uploads are as they were: later, run slipway restore --files --at "{at}"', file=sys.stderr)
    return None
