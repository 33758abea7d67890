"""WAL, the record of each change: what the receiver has written here goes to the repository every few minutes.

The folder has all WAL since the newest base backup: one snapshot of it is enough to restore any second since then."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable

from . import points, postgres, shell, state
from .repository import Repository
from .settings import Settings
from .shell import Problem

SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
BYTES = 16 << 20  # of a segment
PER_FILE = 256  # segments of 16 MB have names whose last part counts to this number
RECEIVE = 60  # seconds for the receiver to write what the database has written
AGAIN = 900  # seconds after which a base backup that failed is tried again
LEAST, SHARE = 1 << 30, 10  # bytes that must stay free, or a SHARE of a smaller disk


def ship(settings: Settings, repository: Repository) -> None:
    """Send the WAL to the repository. If that fails and the disk gets full, keep no WAL any more: the site goes on."""
    try_base_again(settings)
    try:
        with state.recorded(settings, "wal") as record:
            record.update(sent(settings, repository, of_base(settings)))
    except Problem:
        if not has_room(settings):
            let_go(settings)
        raise


def of_base(settings: Settings) -> dict[str, str]:
    """Return the tags of the base backup with which the WAL here begins. Without one, begin one, and raise Problem."""
    base: dict[str, str] = state.load(settings).get("base", {}).get("tags", {})
    if not base or postgres.slot_is_lost(settings) or has_gap(base["segment"], os.listdir(settings.wal_folder)):
        begin_base(settings)
        raise Problem("there is no base backup, or WAL is missing since the last one: another one begins now")
    return base


def try_base_again(settings: Settings) -> None:
    """Begin a base backup if the last one failed a while ago. (A unit that waits for Restart= cannot be started.)"""
    base = state.load(settings).get("base", {})
    if base.get("problem") and time.time() - base["failed"] > AGAIN:
        begin_base(settings)


def begin_base(settings: Settings) -> None:
    shell.output(["systemctl", "start", "--no-block", f"docker-backup-base@{settings.app}.service"])


def sent(settings: Settings, repository: Repository, base: dict[str, str]) -> dict[str, object]:
    position = postgres.position(settings)
    wait_for_receiver(settings, position.flushed)
    tags = {"kind": "wal", "base": base["base"], "until": round(position.at, 3), "lsn": position.flushed}
    names = ["wal", points.NAME] if os.path.exists(points.path(settings)) else ["wal"]
    repository.backup(names, tags, settings.folder)
    return {"until": position.at}


def wait_for_receiver(settings: Settings, lsn: int) -> None:
    """Wait until the receiver has written all WAL up to `lsn`."""
    until = time.monotonic() + RECEIVE
    while (received := postgres.received(settings)) < lsn:
        if not received:
            drop_torn(settings)
        if time.monotonic() > until:
            raise Problem(f"{settings.receiver} does not receive WAL: see journalctl -t {settings.receiver}")
        time.sleep(0.5)


# ---- the receiver ----


def drop_torn(settings: Settings) -> None:
    """Remove a segment that a receiver was making when it was killed: no receiver goes on with it. Postgres sends it
    again, as the slot has kept it."""
    paths = [
        f"{settings.wal_folder}/{name}"
        for name in segments(os.listdir(settings.wal_folder))
        if name.endswith(".partial")
    ]
    torn = [path for path in paths if os.path.getsize(path) not in (0, BYTES)]
    if torn:
        stop_receiving(settings)
        for path in torn:
            os.unlink(path)
        start_receiving(settings)


def drop_useless(settings: Settings) -> None:
    """Drop the WAL here if no receiver could go on with it: the slot is lost, or another database wrote it."""
    if postgres.slot_is_lost(settings) or is_of_another_database(settings):
        let_go(settings)


def is_of_another_database(settings: Settings) -> bool:
    """Return True if WAL here was written before the service got another volume, as for another major version."""
    folder, system = settings.wal_folder, int(postgres.position(settings).system)
    writers = {writer(f"{folder}/{name}") for name in segments(os.listdir(folder))}
    return not writers <= {system, None}


def writer(path: str) -> int | None:
    """Return the id of the database that wrote a segment, None if it is still empty. It stands in the header of its
    first page: XLogLongPageHeaderData in Postgres' access/xlog_internal.h."""
    with open(path, "rb") as file:
        header = file.read(32)
    return int.from_bytes(header[24:32], sys.byteorder) or None


def receive(settings: Settings) -> None:
    """Have the receiver run, with a slot that holds WAL for it."""
    postgres.sql(settings, postgres.MAKE_SLOT)
    start_receiving(settings)


def start_receiving(settings: Settings) -> None:
    shell.output(["systemctl", "start", receiver_unit(settings)])


def stop_receiving(settings: Settings) -> None:
    shell.output(["systemctl", "stop", receiver_unit(settings)], seconds=120)


def receiver_unit(settings: Settings) -> str:
    return f"docker-service@{settings.receiver}.service"


# ---- the names of segments ----


def segments(names: Iterable[str]) -> list[str]:
    """Return the names of whole and partial segments, in their order."""
    return sorted(name for name in names if SEGMENT.fullmatch(name))


def count(name: str) -> int:
    """Return the number of a segment in its timeline."""
    match = SEGMENT.fullmatch(name)
    if not match:
        raise Problem(f"{name} is not the name of a segment of WAL")
    return int(match[2], 16) * PER_FILE + int(match[3], 16)


def has_gap(first: str, names: Iterable[str]) -> bool:
    """Return True unless `names` has each segment from `first` on."""
    numbers = [count(name) for name in segments(names) if name[:8] >= first[:8] and count(name) >= count(first)]
    return numbers != list(range(count(first), count(first) + len(numbers))) or not numbers


def drop_older(settings: Settings, first: str) -> None:
    """Remove the segments before `first`, which no backup needs any more."""
    for name in segments(os.listdir(settings.wal_folder)):
        if name[:24] < first:
            os.unlink(f"{settings.wal_folder}/{name}")


# ---- a full disk ----


def has_room(settings: Settings) -> bool:
    disk = shutil.disk_usage(settings.folder)
    return disk.free > min(LEAST, disk.total // SHARE)


def let_go(settings: Settings) -> None:
    """Keep no more WAL, neither here nor in the database. The next base backup begins anew."""
    state.save(settings, "base", tags={})
    stop_receiving(settings)
    with contextlib.suppress(Problem):  # a database that does not answer
        postgres.sql(settings, postgres.DROP_SLOT)
    for name in segments(os.listdir(settings.wal_folder)):
        os.unlink(f"{settings.wal_folder}/{name}")
