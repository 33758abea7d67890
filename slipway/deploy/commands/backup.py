"""backup: make a base backup now, or keep the repository's password elsewhere."""

import argparse
import getpass
import sys

from ..config import Fleet, Host
from ..errors import DeployError, Refused
from ..ssh.connection import run
from ..ssh.gather import on_one
from ..ssh.validate import decoded
from .docker_backup import backup_host, run_docker_backup


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password", action="store_true", help="show the repository's password, and type it, or an older repository's"
    )
    parser.add_argument(
        "--new",
        action="store_true",
        help="begin anew: beside the backups of another database of this app, or after the repository was lost",
    )


async def handle(fleet: Fleet, args: argparse.Namespace) -> int | None:
    host = backup_host(fleet)
    if args.password:
        await keep_password(fleet, host)
        return None
    new = ["--new"] if args.new else []
    if fleet.postgres_host is None:
        code = await run_docker_backup(fleet, host, "files", *new)
        return await run_docker_backup(fleet, host, "dump") if fleet.backup["dump"] and not code else code
    code = await run_docker_backup(fleet, host, "base", *new)
    return await run_docker_backup(fleet, fleet.backup_hosts[-1], "files", *new) if new and not code else code


async def keep_password(fleet: Fleet, host: Host) -> None:
    """Show the password, and check that somebody can type it. Another password is tried, and kept if it fits."""
    words = ["docker-backup", "password", fleet.app]
    shown = await on_one(host, run(host, fleet.ssh, words, check=True))
    if sys.stdin.isatty():
        print(f"{decoded(shown.out)}\nKeep it where a lost server cannot take it along, such as a password manager.")
        typed = getpass.getpass("Type it from there (or the password of an older repository): ")
    else:
        typed = sys.stdin.readline().strip()
    if not typed:
        raise Refused("nothing was typed")
    done = await on_one(host, run(host, fleet.ssh, [*words, "--typed"], input=typed.encode(), timeout=120))
    if done.code:
        raise DeployError(f"{host.name}: {decoded(done.err)}")
    print(f"{host.name}: {decoded(done.out)}")
