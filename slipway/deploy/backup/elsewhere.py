"""A database that runs elsewhere, such as a managed one: a dump of it goes to the repository once a day."""

from __future__ import annotations

import math
import os
import shutil
import sys
from typing import IO
from urllib.parse import parse_qsl, unquote, urlsplit

from . import shell, state
from .repository import Repository
from .settings import Settings
from .shell import Problem, megabytes, say

# What a URL's query may say of the connection; all else in it is Django's.
QUERY = ("sslmode", "sslrootcert", "sslcert", "sslkey", "options", "channel_binding", "target_session_attrs")


def keep(settings: Settings, repository: Repository) -> None:
    """Dump the database, and send the dump."""
    folder = f"{settings.folder}/dump"
    with state.recorded(settings, "dump"):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        try:
            with open(path(settings), "wb") as file:
                write(settings, file)
                size = file.tell()
            repository.backup([path(settings)], "dump", shown=shell.is_watched())
        finally:
            shutil.rmtree(folder)
    say(f"the database is dumped: {megabytes(size)}")


def path(settings: Settings) -> str:
    return f"{settings.folder}/dump/{settings.app}.dump"


def tell(settings: Settings, repository: Repository, at: str = "") -> None:
    """Write a dump to stdout: one that is made now, or that of `at`, "latest" or a time in seconds."""
    if not at:
        write(settings, sys.stdout.buffer)
        return
    moment = math.inf if at == "latest" else float(at)
    fitting = [snapshot for snapshot in repository.snapshots("dump") if snapshot.at <= moment]
    if not fitting:
        raise Problem(f"{settings.to} has no dump of {settings.app} from before that time")
    repository.call("dump", fitting[-1].id, path(settings), out=sys.stdout.buffer)


def write(settings: Settings, out: IO[bytes]) -> None:
    """Let pg_dump write a dump. Raise Problem if it fails."""
    variables = connection(settings.database_url)
    name = f"{settings.app}-pg-dump"
    shell.remove_containers(name)  # one whose docker-backup was killed
    words = [
        *("docker", "run", "--rm", "--read-only", "--network=host", "--name", name),
        *("--cpu-shares=64", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
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
        **{f"PG{name.replace('_', '').upper()}": value for name, value in parse_qsl(parts.query) if name in QUERY},
    }
    return {name: value for name, value in values.items() if value}
