"""dump: bring a dump of the database here."""

import argparse
import os
import sys
import time

from ..config import Fleet
from ..errors import DeployError, Refused
from ..ssh import child
from .dbshell import in_postgres

DUMP = 'PGPASSWORD=$APP_PASSWORD exec pg_dump --format=custom --no-owner --no-acl -h "$2" -U "$1" "$1"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default="", metavar="FILE", help="default: APP-DATE.dump")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    host = fleet.postgres_host
    if host is None:
        raise Refused("no host has the role postgres: dump a database elsewhere by pg_dump --format=custom")
    words = fleet.ssh.command(host.address, in_postgres(fleet, "dump", DUMP))
    path = args.file or f"{fleet.app}-{time.strftime('%Y%m%d-%H%M')}.dump"
    new = f"{path}.new"
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            running = await child.start(words, stdin=None, stdout=file, stderr=None, start_new_session=False)
            try:
                code = await running.ended()
            finally:
                await running.close(0)
        if code:
            raise DeployError(f"{host.name}: pg_dump failed: nothing is kept here")
        os.replace(new, path)
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from None
    finally:
        if os.path.exists(new):
            os.unlink(new)
    print(f"{path}: {os.path.getsize(path) / 1e6:,.1f} MB")
    print(f"to load it: pg_restore --clean --if-exists --no-owner --dbname=DATABASE_URL {path}", file=sys.stderr)
