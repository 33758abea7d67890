"""The app's Postgres: questions to it, and the tools of its image."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import shell
from .settings import Settings
from .shell import Problem

ROLE = "base_backup"  # no app's role is called so, as apps' names have no underscore; the slot has this name, too
# A tool's container: visitors come first.
CONFINED = (
    *("docker", "run", "--rm", "--read-only", "--cpu-shares=64"),
    *("--cap-drop=ALL", "--security-opt=no-new-privileges"),
)
# psql as the superuser, whose password the container has in its environment. $1: the folder of the socket.
PSQL = 'PGPASSWORD=$POSTGRES_PASSWORD exec psql -h "$1" -U postgres -d "${2:-postgres}" -qAtX -F " " -v ON_ERROR_STOP=1'
POSITION = """
SELECT extract(epoch FROM now()), pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn(),
    (SELECT system_identifier FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint());
"""
# A slot that is lost holds no WAL any more: the receiver cannot go on with it.
MAKE_SLOT = """
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE slot_name = 'base_backup' AND wal_status = 'lost' AND NOT active;
SELECT pg_create_physical_replication_slot('base_backup', true)
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'base_backup');
"""
MIGRATIONS = r"""
SELECT to_regclass('django_migrations') IS NOT NULL AS exist \gset
\if :exist
SELECT app, name FROM django_migrations WHERE applied < to_timestamp(:'until'::float8) ORDER BY id;
\endif
"""
DROP_SLOT = """
SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'base_backup' AND active;
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'base_backup';
"""


def migrations(until: float = math.inf) -> str:
    """Return a query for the names of the migrations that were applied before a time in seconds."""
    return f"\\set until {until}\n{MIGRATIONS}"


@dataclass(frozen=True)
class Position:
    """A moment of the database. `at`: its time in seconds. `lsn`: where its next change goes in the WAL, as a number
    of bytes; `flushed`: up to where WAL is on its disk. They differ even in an idle database, where the next change
    goes behind the header of a new page. `system`: the database's id."""

    at: float
    lsn: int
    flushed: int
    system: str
    timeline: int


def sql(settings: Settings, query: str, database: str = "postgres") -> str:
    """Return psql's answer to queries, run by the superuser."""
    words = ["docker", "exec", "-i", settings.service, "sh", "-c", PSQL, "sh", settings.sockets, database]
    return shell.output(words, query)


def position(settings: Settings) -> Position:
    at, lsn, flushed, system, timeline = sql(settings, POSITION).split()
    return Position(float(at), number(lsn), number(flushed), system, int(timeline))


def number(lsn: str) -> int:
    """Return an LSN such as "16/B374D848" as a number of bytes."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def text(lsn: int) -> str:
    """Return an LSN as Postgres writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def received(settings: Settings) -> int:
    """Return up to where the receiver has written WAL; 0 if it is not connected."""
    lsn = sql(settings, "SELECT write_lsn FROM pg_stat_replication WHERE application_name = 'pg_receivewal'")
    return number(lsn) if lsn else 0


def slot_is_lost(settings: Settings) -> bool:
    """Return True if the slot is missing, or no longer holds what the receiver needs."""
    status = sql(
        settings, "SELECT coalesce(wal_status, 'reserved') FROM pg_replication_slots WHERE slot_name = 'base_backup'"
    )
    return status in ("", "lost")


def bytes_of_data(settings: Settings) -> int:
    return int(sql(settings, "SELECT sum(pg_database_size(oid)) FROM pg_database"))


def owner(settings: Settings) -> tuple[int, int]:
    """Return the ids of the user and the group in the database's image."""
    user, _, group = settings.image["OWNER"].partition(":")
    return int(user), int(group)


def folder(settings: Settings, name: str) -> str:
    """Make the folder `name` below /var/backups/APP, which the image's user owns; return its path."""
    path = f"{settings.folder}/{name}"
    settings.make_folder()
    os.makedirs(path, mode=0o700, exist_ok=True)
    os.chown(path, *owner(settings))
    return path


def tool(settings: Settings, words: Sequence[str], mounts: Mapping[str, str]) -> None:
    """Run a program of the database's image on folders of this host: `mounts` is path → path in the container. Raise
    Problem if it fails."""
    name = f"{settings.app}-{words[0].replace('_', '-')}"
    shell.run(["docker", "rm", "-f", name])  # one whose docker-backup was killed
    command = [
        *(*CONFINED, "--network=none", "--user", settings.image["OWNER"], "--name", name),
        *("--env-file", f"{settings.etc}/{settings.receiver}.env", "--entrypoint", words[0]),
        *(word for path, inside in mounts.items() for word in ("-v", f"{path}:{inside}")),
        *(settings.image["IMAGE_ID"], *words[1:]),
    ]
    done = shell.run(command)
    if done.returncode:
        raise Problem(f"{words[0]}: {shell.last_line(done.stderr)}")
