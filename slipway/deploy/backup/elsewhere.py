"""A database that runs elsewhere, such as a managed one: a dump of it goes to the repository once a day."""

from __future__ import annotations

import os
import shutil
import sys
from typing import IO
from urllib.parse import parse_qsl, unquote, urlsplit

from . import postgres, shell, state
from .repository import Repository, newest_before
from .settings import Settings
from .shell import Problem, megabytes, say

# What a URL's query may say of the connection; all else in it is Django's.
QUERY = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
    "channel_binding": "PGCHANNELBINDING",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


def keep(settings: Settings, repository: Repository) -> None:
    """Dump the database, and send the dump."""
    folder = f"{settings.folder}/dump"
    with state.recorded(settings, "dump") as record:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        try:
            with open(path(settings), "wb") as file:
                write(settings, file)
                record["bytes"] = file.tell()
            repository.backup([path(settings)], {"kind": "dump"}, shown=shell.is_watched())
        finally:
            shutil.rmtree(folder)
    say(f"the database is dumped: {megabytes(record['bytes'])}")


def path(settings: Settings) -> str:
    return f"{settings.folder}/dump/{settings.app}.dump"


def tell(settings: Settings, repository: Repository, at: str = "") -> None:
    """Write a dump to stdout: one that is made now, or that of `at`, "latest" or a time in seconds."""
    if not at:
        write(settings, sys.stdout.buffer)
        return
    chosen = newest_before(repository.snapshots(kind="dump"), at)
    if chosen is None:
        raise Problem(f"{settings.place} has no dump of {settings.app} from before that time")
    repository.write_file(chosen, path(settings), sys.stdout.buffer)


def write(settings: Settings, out: IO[bytes]) -> None:
    """Let pg_dump write a dump. Raise Problem if it fails."""
    variables = connection(settings.database_url)
    name = f"{settings.app}-pg-dump"
    shell.run(["docker", "rm", "-f", name])  # one whose docker-backup was killed
    words = [
        *(*postgres.CONFINED, "--network=host", "--name", name),
        *("-v", f"{settings.etc}/{settings.app}.secrets:/run/secrets:ro"),
        # Docker takes the values from its own environment, so that no process list has the password.
        *(word for variable in variables for word in ("-e", variable)),
        *("--entrypoint=pg_dump", settings.dump, "--format=custom", "--no-owner", "--no-acl"),
    ]
    done = shell.run(words, env=variables, out=out)
    if done.returncode:
        raise Problem(f"pg_dump: {shell.last_line(done.stderr)}")


def connection(url: str) -> dict[str, str]:
    """Turn a DATABASE_URL into variables that Postgres' programs know."""
    parts = urlsplit(url)
    if not parts.scheme.startswith("postg"):
        raise Problem("DATABASE_URL is not that of a Postgres, so remove dump from [backup] in production.toml")
    values = {
        "PGHOST": unquote(parts.hostname or ""),
        "PGPORT": str(parts.port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        **{QUERY[name]: value for name, value in parse_qsl(parts.query) if name in QUERY},
    }
    return {name: value for name, value in values.items() if value}
