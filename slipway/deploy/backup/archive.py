"""The archive of WAL, the record of each change: Postgres lets pgBackRest send it. This looks every few minutes that
all of it is in the repository, as that says itself, and tells since when no second can be restored if it is not."""

from __future__ import annotations

import time
from datetime import datetime

from . import branches, configuration, leftovers, pgbackrest, points, postgres, shell, state
from .branches import Backup, Target
from .pgbackrest import Seen
from .repository import Repository
from .settings import Settings
from .shell import Problem

ARRIVE = 240  # seconds for a segment to come into the repository
AGAIN = 900  # seconds after which a base backup that failed is tried again
LEAST, SHARE = 1 << 30, 10  # bytes that must stay free on the database's disk, or a SHARE of a smaller one
ACTION = "wal"


def ship(settings: Settings, repository: Repository, patience: int = ARRIVE) -> None:
    """Have all that the database has now in the repository, within `patience` seconds. Record up to when that can be
    restored. A base backup, a drill and a restore do this, too, so that it waits for the end of another one."""
    with leftovers.alone(settings, ACTION, patience):
        leftovers.remove(settings)
        configuration.bind(settings)
        try_base_again(settings)
        with state.recorded(settings, ACTION) as record:
            record.update(sent(settings, patience))
            points.send(settings, repository)


def sent(settings: Settings, patience: int) -> dict[str, object]:
    """Wait until the repository has a commit that is made now. Raise Problem if it has not all WAL before that."""
    now = postgres.heartbeat(settings)
    configuration.tune(settings)
    drop_if_full(settings)
    seen = pgbackrest.look(settings, ACTION, patience)
    base, archived = newest_base(settings, seen, now.timeline), branches.segments(seen.files)
    missing = branches.first_gap(base.first, now.timeline, seen.histories.get(now.timeline, ""), archived)
    if missing:
        tell_of(settings, missing, base.at)
    return {"until": now.at, "lsn": now.lsn, "timeline": now.timeline, "since": 0, "gaps": closed(settings, base)}


def newest_base(settings: Settings, seen: Seen, timeline: int) -> Backup:
    """Return the newest base backup on the way to the living branch. Without one, begin one, and raise Problem."""
    try:
        return branches.base_for(Target(timeline), seen.backups, seen.histories)
    except Problem:
        begin_base(settings)
        raise Problem("there is no base backup yet: one begins now") from None


def tell_of(settings: Settings, missing: str, at: float) -> None:
    """Record that what came after the newest restorable second is lost, begin a base backup, and raise Problem."""
    known = state.load(settings).get(ACTION, {})
    since = known.get("since") or known.get("until", at)
    gaps = known.get("gaps", [])
    if not gaps or gaps[-1][1] is not None:
        gaps = [*gaps, [since, None]]
    state.save(settings, ACTION, since=since, gaps=gaps)
    begin_base(settings)
    raise Problem(
        f"no second after {datetime.fromtimestamp(since).astimezone():%Y-%m-%d %H:%M:%S %z} can be restored, as the"
        f" place has not got the segment {missing}: a new base backup is being made"
    )


def closed(settings: Settings, base: Backup) -> list[list[float]]:
    """Return the gaps on record: from a base backup after them on, each second can be restored again."""
    gaps = state.load(settings).get(ACTION, {}).get("gaps", [])
    return [[begin, base.at if end is None else end] for begin, end in gaps][-100:]


def try_base_again(settings: Settings) -> None:
    """Begin a base backup if the last one failed a while ago. (A unit that waits for Restart= cannot be started.)"""
    base = state.load(settings).get("base", {})
    if base.get("problem") and time.time() - base["failed"] > AGAIN:
        begin_base(settings)


def begin_base(settings: Settings) -> None:
    shell.output(["systemctl", "start", "--no-block", f"docker-backup-base@{settings.app}.service"])


def drop_if_full(settings: Settings) -> None:
    """If the database's disk gets full, end what sends WAL: the next one to send it drops what is too much. The site is
    more important."""
    disk = postgres.disk(settings)
    if disk.free < min(LEAST, disk.total // SHARE):
        for command in ("stop --force", "start"):
            shell.run(
                ["docker", "exec", settings.service, "sh", "-c", f"exec pgbackrest --stanza={settings.app} {command}"]
            )
