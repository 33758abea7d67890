"""The database's part of the repository: base backups, copies of its files, and the archive of WAL, the record of each
change since, which Postgres lets pgBackRest send."""

from __future__ import annotations

import shutil
import time

from . import branches, configuration, leftovers, pgbackrest, points, postgres, shell, state
from .branches import Backup, Target
from .place import INSIDE
from .postgres import Position
from .repository import Repository
from .settings import Settings
from .shell import Problem, megabytes, say, told

ARRIVE = 240  # seconds for a segment to come into the repository
AGAIN = 900  # seconds after which a base backup that failed is tried again
LEAST, SHARE = 1 << 30, 10  # bytes that must stay free on the database's disk, or a SHARE of a smaller one
FULL = 7 * 86400 - 3600  # seconds after which a full base backup is due: the next night after six others
ACTION, BASE = "wal", "base"


# ---- base backups, with which each restore begins: full each week, else of changes ----


def make_base(settings: Settings, repository: Repository, new: str = "") -> None:
    """Send a base backup to the repository, and forget what is too old there. `new`: accept a repository with backups
    of another database, and make one if it is missing."""
    with state.recorded(settings, BASE) as record:
        if new:
            repository.make_if_missing()
            configuration.make_folder(settings)
            pgbackrest.make(settings, BASE, new=True)
        check_archiving(settings)
        seen = pgbackrest.look(settings, BASE)
        if seen.system and seen.system != postgres.position(settings).system:  # such as a lost server's
            raise Problem(
                f"{settings.to} has backups of another database of {settings.app}: bring that back by slipway restore,"
                " or keep both by slipway backup --new"
            )
        kind = due(seen.backups, time.time())
        say(f"copying the database: {'all of it' if kind == 'full' else 'what has changed since the last copy'}")
        pgbackrest.call(settings, BASE, ["backup", f"--type={kind}"])
        made = pgbackrest.look(settings, BASE).backups[-1]
        record.update(label=made.label, made=made.at)
    ship(settings, repository, action=BASE)
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


def begin_base(settings: Settings) -> None:
    shell.output(["systemctl", "start", "--no-block", f"docker-backup-base@{settings.app}.service"])


# ---- WAL: every few minutes, see that all of it is there, and tell since when no second can be restored if not ----


def ship(settings: Settings, repository: Repository, patience: int = ARRIVE, action: str = ACTION) -> Position:
    """Have all that the database has now in the repository, within `patience` seconds. Record up to when that can be
    restored, and return it. `action`: the one that runs in this process; the timer's own may run meanwhile, in another
    container."""
    with state.recorded(settings, ACTION) as record:
        leftovers.remove(settings)
        configuration.bind(settings)
        base = state.of(settings, BASE)
        if base.get("problem") and time.time() - base["failed"] > AGAIN:  # systemd starts none that waits for Restart=
            begin_base(settings)
        now = postgres.heartbeat(settings)
        configuration.tune(settings)
        drop_if_full(settings)
        began = check(settings, now.timeline, action, patience)
        gaps = [[begin, began if end is None else end] for begin, end in state.of(settings, ACTION).get("gaps", [])]
        record.update(until=now.at, since=0, gaps=gaps[-100:])  # from a base backup after a gap on, all is well again
        points.send(settings, repository)
    return now


def check(settings: Settings, timeline: int, action: str, patience: int) -> float:
    """Wait until the repository has what the database has now. Raise Problem, and begin a base backup, if there is none
    on the way to this timeline, or it has not all WAL since. Return the end of that one."""
    seen = pgbackrest.look(settings, action, patience)
    try:
        base = branches.base_for(Target(timeline), seen.backups, seen.histories)
    except Problem:
        begin_base(settings)
        raise Problem("there is no base backup yet: one begins now") from None
    archived = branches.segments(seen.files)
    missing = branches.first_gap(base.first, timeline, seen.histories.get(timeline, ""), archived)
    if missing:
        since = note_gap(settings, base.at)
        begin_base(settings)
        raise Problem(
            f"no second after {told(since)} can be restored, as the place has not got the segment {missing}: a new"
            " base backup is being made"
        )
    return base.at


def note_gap(settings: Settings, at: float) -> float:
    """Record that what came after the newest restorable second is lost, and return that: at least the base backup's."""
    known = state.of(settings, ACTION)
    since: float = known.get("since") or known.get("until", at)
    gaps = known.get("gaps", [])
    if not gaps or gaps[-1][1] is not None:
        gaps = [*gaps, [since, None]]
    state.save(settings, ACTION, since=since, gaps=gaps)
    return since


def note_end(settings: Settings, since: float, at: float) -> None:
    """Record that a branch ended at that time, and that what it had since then was not sent."""
    gaps = state.of(settings, ACTION).get("gaps", [])
    if not gaps or gaps[-1][1] is not None:  # else the gap that is open ends with the next base backup
        state.save(settings, ACTION, gaps=[*gaps, [since, at]])


def drop_if_full(settings: Settings) -> None:
    """If the database's disk gets full, end what sends WAL: the next one to send it drops what is too much. The site is
    more important."""
    disk = shutil.disk_usage(postgres.volume_path(settings.image["DATA"]))
    if disk.free < min(LEAST, disk.total // SHARE):
        for command in ("stop --force", "start"):
            script = f"exec pgbackrest --stanza={settings.app} {command}"
            shell.run(["docker", "exec", settings.service, "sh", "-c", script])
