"""Base backups: a copy of all of the database's files, with which each restore begins."""

from __future__ import annotations

import json
import os
import re
import shutil

from . import postgres, progress, retention, shell, state, wal
from .repository import Repository
from .settings import Settings
from .shell import Problem, megabytes, say

RATE = "32M"  # bytes a second of the copy, so that visitors do not feel it
COPY = 1.1  # a copy may get larger than the data, as these change meanwhile


def make(settings: Settings, repository: Repository, new: str = "") -> None:
    """Copy the database's files, check them, send them to the repository, and forget what is too old there. `new`:
    accept a repository with backups of another database, and make one if it is missing."""
    folder = f"{settings.folder}/base"
    with state.recorded(settings, "base") as record:
        check_room(settings)
        if new:
            repository.make_if_missing()
        else:
            check_owner(settings, repository)
        ready(settings)
        if os.path.exists(folder):  # of a run that was killed
            shutil.rmtree(folder)
        try:
            record["tags"] = kept(settings, repository, postgres.folder(settings, "base"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        finish_last(settings, repository)
        wal.drop_older(settings, record["tags"]["segment"])
    wal.ship(settings, repository)
    retention.prune(settings, repository)
    say(f"the database is backed up: {megabytes(int(record['tags']['bytes']))}")


def check_room(settings: Settings) -> None:
    needed, free = int(postgres.bytes_of_data(settings) * COPY), shutil.disk_usage(settings.folder).free
    if needed > free:
        raise Problem(
            f"a copy of the database needs {megabytes(needed)} in {settings.folder}, which has {megabytes(free)}"
        )


def check_owner(settings: Settings, repository: Repository) -> None:
    """Refuse to mix this database's backups with those of another one, such as a lost server's."""
    newest = repository.snapshots(kind="base")[-1:]
    system = postgres.position(settings).system
    if newest and newest[0].tags["system"] != system:
        raise Problem(
            f"{settings.to} has backups of another database of {settings.app}: bring that back by slipway restore, or"
            " keep both by slipway backup --new"
        )


def ready(settings: Settings) -> None:
    """Have all WAL received from now on."""
    wal.drop_useless(settings)
    wal.receive(settings)
    wal.wait_for_receiver(settings, postgres.position(settings).flushed)


def kept(settings: Settings, repository: Repository, folder: str) -> dict[str, str]:
    """Make a base backup in the folder, and send it. Return its tags."""
    say("copying the database")
    words = ["--pgdata=/base", "--checkpoint=fast", f"--max-rate={RATE}", "--no-password"]
    words += [f"--host={settings.sockets}", f"--username={postgres.ROLE}"]
    mounts = {folder: "/base", settings.sockets: settings.sockets}
    with progress.shown(lambda: progress.size(folder), postgres.bytes_of_data(settings)):
        postgres.tool(settings, ["pg_basebackup", *words], mounts)
    say("checking the copy")
    postgres.tool(settings, ["pg_verifybackup", "--quiet", "/base"], {folder: "/base"})
    tags = described(folder, postgres.position(settings))
    say(f"sending {megabytes(int(tags['bytes']))}")
    repository.backup(["base"], tags, settings.folder, shown=shell.is_watched())
    return tags


def described(folder: str, position: postgres.Position) -> dict[str, str]:
    """Return the tags of a base backup. `base`: its key, the LSN and timeline at its end. `segment`: its first WAL."""
    with open(f"{folder}/backup_label", encoding="utf-8") as file:
        label = file.read()
    segment = re.search(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)", label, re.MULTILINE)
    with open(f"{folder}/backup_manifest", encoding="utf-8") as file:
        manifest = json.load(file)
    if not segment:
        raise Problem(f"{folder}/backup_label does not say with which WAL it begins")
    end = manifest["WAL-Ranges"][-1]
    at_end, timeline = postgres.number(end["End-LSN"]), end["Timeline"]
    size = sum(entry["Size"] for entry in manifest["Files"])
    return {
        "kind": "base",
        "base": f"{timeline}-{at_end}",
        "lsn": str(at_end),
        "timeline": str(timeline),
        "segment": segment[1],
        "system": position.system,
        "at": str(round(position.at, 3)),
        "bytes": str(size),
    }


def finish_last(settings: Settings, repository: Repository) -> None:
    """Send the WAL once more for the base backup before: with it, each second until the new one can be restored."""
    last = state.load(settings).get("base", {}).get("tags")
    if last and not wal.has_gap(last["segment"], os.listdir(settings.wal_folder)):
        wal.sent(settings, repository, last)
