"""dump: bring a dump of the database here."""

import argparse
import os
import sys
import time

from .. import moments
from ..backup import progress
from ..config import Fleet, Host
from ..errors import DeployError, Refused
from ..ssh import child
from .dbshell import command_in_postgres
from .run import with_journal_entry

DUMP = 'PGPASSWORD=$APP_PASSWORD exec pg_dump --format=custom --no-owner --no-acl -h "$2" -U "$1" "$1"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at",
        type=moments.parse_latest,
        metavar="TIME",
        help="of a database elsewhere: the newest kept dump before; or latest",
    )
    parser.add_argument("file", nargs="?", default="", metavar="FILE", help="default: APP-DATE.dump")


def dump_command(fleet: Fleet, at: str) -> tuple[Host, list[str]]:
    """Return the host that writes a dump to stdout, and the command. `at`: the time of a dump that is kept, or ""."""
    if fleet.postgres_host:
        if at:
            raise Refused("--at: no dumps are kept of this database: slipway restore --beside brings back any second")
        return fleet.postgres_host, command_in_postgres(fleet, "dump", DUMP)
    if not fleet.backup_hosts or not fleet.backup["dump"]:
        raise Refused(
            "no host has the role postgres: dump a database elsewhere by pg_dump --format=custom, or add dump to "
            "[backup] in production.toml, as docs/backup.md shows"
        )
    words = ["docker-backup", "print-dump", fleet.app, *([at] if at else [])]
    return fleet.backup_hosts[-1], with_journal_entry(fleet.app, ["dump"], words, tty=False)


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    host, command = dump_command(fleet, args.at or "")
    words = fleet.ssh.command(host.address, command)
    path = args.file or f"{fleet.app}-{time.strftime('%Y%m%d-%H%M')}.dump"
    new = f"{path}.new"
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            running = await child.start(words, stdin=None, stdout=file, stderr=None, start_new_session=False)
            try:
                with progress.shown(lambda: progress.size(new)):
                    code = await running.ended()
            finally:
                await running.close(0)
        if code:
            raise DeployError(f"{host.name}: there is no dump: nothing is kept here")
        os.replace(new, path)
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from None
    finally:
        if os.path.exists(new):
            os.unlink(new)
    print(f"{path}: {os.path.getsize(path) / 1e6:,.1f} MB")
    print(f"to load it: pg_restore --clean --if-exists --no-owner --dbname=DATABASE_URL {path}", file=sys.stderr)
