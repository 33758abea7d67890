"""The app's Postgres: questions to it, and what its image is like."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from . import shell
from .branches import lsn_of
from .settings import Settings

# psql as the superuser, whose password the container has in its environment. $1: the folder of the socket.
PSQL = 'PGPASSWORD=$POSTGRES_PASSWORD exec psql -h "$1" -U postgres -d "${2:-postgres}" -qAtX -F " " -v ON_ERROR_STOP=1'
POSITION = """
SELECT extract(epoch FROM clock_timestamp()), pg_current_wal_flush_lsn(), pg_walfile_name(pg_current_wal_insert_lsn()),
    (SELECT system_identifier FROM pg_control_system()), pg_snapshot_xmax(pg_current_snapshot());
"""
# A transaction of its own, whose commit has a time: a restore to any second before knows that it has come so far.
HEARTBEAT = "SELECT pg_current_xact_id();"
MIGRATIONS = r"""
SELECT to_regclass('django_migrations') IS NOT NULL AS exist \gset
\if :exist
SELECT app, name FROM django_migrations WHERE applied < to_timestamp(:'until'::float8) ORDER BY id;
\endif
"""


def migrations(until: float = math.inf) -> str:
    """Return a query for the names of the migrations that were applied before a time in seconds."""
    return f"\\set until {until}\n{MIGRATIONS}"


@dataclass(frozen=True)
class Position:
    """A moment of the database. `at`: its time in seconds. `lsn`: up to where WAL is on its disk, as a number of bytes.
    `system`: the database's id. `xmax`: the id of its next transaction."""

    at: float
    lsn: int
    timeline: int
    system: str
    xmax: int


def sql(settings: Settings, query: str, database: str = "postgres") -> str:
    """Return psql's answer to queries, run by the superuser."""
    words = ["docker", "exec", "-i", settings.service, "sh", "-c", PSQL, "sh", settings.sockets, database]
    return shell.output(words, query)


def position(settings: Settings) -> Position:
    at, lsn, segment, system, xmax = sql(settings, POSITION).split()
    return Position(float(at), lsn_of(lsn), int(segment[:8], 16), system, int(xmax))


def heartbeat(settings: Settings) -> Position:
    """Return a position after which there is a commit."""
    found = position(settings)
    sql(settings, HEARTBEAT)
    return found


def owner(settings: Settings) -> tuple[int, int]:
    """Return the ids of the user and the group in the database's image."""
    user, _, group = settings.image["OWNER"].partition(":")
    return int(user), int(group)


def volume_path(volume: str) -> str:
    """Return the folder of a volume on this host."""
    return shell.output(["docker", "volume", "inspect", "--format", "{{.Mountpoint}}", volume])


def data_path(settings: Settings) -> str:
    """Return where the database's files are in its container: the image's PGDATA."""
    words = ["docker", "image", "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}"]
    lines = shell.lines_of(shell.output([*words, settings.image["IMAGE_ID"]]))
    return dict(line.split("=", 1) for line in lines).get("PGDATA", settings.image["VOLUME"])


def data_folder(settings: Settings, volume: str) -> str:
    """Return where the database's files of a volume are on this host."""
    inside = os.path.relpath(data_path(settings), settings.image["VOLUME"])
    return os.path.normpath(f"{volume_path(volume)}/{inside}")
