"""Base backups: copies of the database's files, with which each restore begins. Full each week, else of changes."""

from __future__ import annotations

import time

from . import archive, configuration, pgbackrest, postgres, shell, state
from .branches import Backup
from .place import INSIDE
from .repository import Repository
from .settings import Settings
from .shell import Problem, megabytes, say

FULL = 7 * 86400 - 3600  # seconds after which a full one is due: the next night after six others
ACTION = "base"


def make(settings: Settings, repository: Repository, new: str = "") -> None:
    """Send a base backup to the repository, and forget what is too old there. `new`: accept a repository with backups
    of another database, and make one if it is missing."""
    with state.recorded(settings, ACTION) as record:
        if new:
            repository.make_if_missing()
            configuration.make_folder(settings)
            pgbackrest.make(settings, ACTION, new=True)
        check_archiving(settings)
        seen = pgbackrest.look(settings, ACTION)
        if seen.system and seen.system != postgres.position(settings).system:  # such as a lost server's
            raise Problem(
                f"{settings.to} has backups of another database of {settings.app}: bring that back by slipway restore,"
                " or keep both by slipway backup --new"
            )
        kind = due(seen.backups, time.time())
        say(f"copying the database: {'all of it' if kind == 'full' else 'what has changed since the last copy'}")
        pgbackrest.call(settings, ACTION, ["backup", f"--type={kind}"])
        made = pgbackrest.look(settings, ACTION).backups[-1]
        record.update(label=made.label, made=made.at)
    archive.ship(settings, repository, action=ACTION)
    repository.prune()
    say(f"the database is backed up: {megabytes(made.bytes)}")


def check_archiving(settings: Settings) -> None:
    """Raise Problem if the service runs without the options that provisioning has written since, or does not see a
    place whose disk was mounted after its start, as on a host that shares no mounts with containers."""
    asked = ["docker", "exec", settings.service, "test", "-d", f"{INSIDE}/archive"]
    configuration.check_folder(settings)
    sees = not settings.place.folder or shell.run(asked, seconds=60).returncode == 0
    if not sees or postgres.sql(settings, "SHOW archive_mode") != "on":
        raise Problem(
            f"{settings.service} does not archive yet: run systemctl restart docker-service@{settings.service} there,"
            " at a time when some seconds of errors do no harm"
        )


def due(backups: list[Backup], now: float) -> str:
    """Return the type of the next backup."""
    full = max((backup.at for backup in backups if backup.kind == "full"), default=0)
    return "full" if now - full >= FULL else "incr"
