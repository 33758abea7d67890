"""The app's files on this host: uploads, settings and secrets, and the database if that is SQLite."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import quote, unquote, urlsplit

from . import progress, shell, state
from .repository import Repository, Snapshot
from .settings import Settings
from .shell import Problem, megabytes, say

PAGES = 1000  # copied at a time, so that the app can write in between


def keep(settings: Settings, repository: Repository, new: str = "") -> None:
    """Send the files. `new`: accept a repository that has another server's, and make one if it is missing."""
    with state.recorded(settings, "files"):
        if new:
            repository.make_if_missing()
        else:
            repository.call("cat", "config")  # a place that hangs ends here, with a record
            check_owner(settings, repository)
        copy = copied(settings)
        paths = [path for path in (*settings.files, *copy) if os.path.exists(path)]
        try:
            repository.backup(paths, "files", shown=shell.is_watched())
        finally:
            for path in copy:
                shutil.rmtree(os.path.dirname(path))
    if not settings.postgres:  # else each base backup prunes
        repository.prune_daily()


def check_owner(settings: Settings, repository: Repository) -> None:
    """Refuse to send the files of a new server after those of a lost one: they would be the newest, and empty."""
    known = state.of(settings, "files")
    if "at" not in known and "brought" not in known and repository.snapshots("files"):
        raise Problem(
            f"{settings.to} has files of another server of {settings.app}: bring them here by slipway restore"
            " --files, or keep both by slipway backup --new"
        )


def copied(settings: Settings) -> list[str]:
    """Copy the app's SQLite database, if it has one. Return the copy's path in a list."""
    source = sqlite_path(settings)
    if not os.path.exists(source):
        return []
    folder = f"{settings.folder}/sqlite"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = f"{folder}/{os.path.basename(source)}"
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(source)}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(path)) as new,
        ):
            old.backup(new, pages=PAGES)
    except sqlite3.Error as error:
        raise Problem(f"{source}: {error}") from None
    return [path]


def sqlite_path(settings: Settings) -> str:
    """Return the path of the app's SQLite database on this host, or "", as Django's side reads the URL. Containers see
    it in /data."""
    url = urlsplit(settings.database_url)
    path = unquote(url.path[1:])
    is_sqlite = url.scheme in ("sqlite", "spatialite") and path.startswith("/data/")
    return f"{settings.www}{path}" if is_sqlite else ""


def put_back(settings: Settings, repository: Repository, at: str) -> None:
    """Bring uploads back, as they were at a time in seconds, or "latest"; settings, secrets and SQLite's database, too,
    if no release is live on this host. What is newer stays. From then on this host sends its own."""
    snapshots = repository.snapshots("files")
    if not snapshots:
        raise Problem(f"{settings.to} has no files of {settings.app}")
    moment = math.inf if at == "latest" else float(at)
    chosen = next((snapshot for snapshot in snapshots if snapshot.at >= moment), snapshots[-1])
    bare = not os.path.exists(f"{settings.www}/TAG")
    paths = [path for path in settings.files if bare or path == f"{settings.www}/media"]
    if bare:
        paths.append(f"{settings.folder}/sqlite")
    if paths:
        bring(settings, repository, chosen, paths)
        bring_sqlite(settings)
    state.save(settings, "files", brought=chosen.at)


def bring(settings: Settings, repository: Repository, snapshot: Snapshot, paths: Sequence[str]) -> None:
    stats = json.loads(repository.call("stats", "--json", "--mode", "restore-size", snapshot.id))
    size, before = stats["total_size"], sum(map(progress.size, paths))
    say(f"fetching files, {megabytes(size)}")
    words = [word for path in paths for word in ("--include", path)]
    with progress.shown(lambda: sum(map(progress.size, paths)) - before, max(0, size - before)):
        repository.call("restore", snapshot.id, "--target", "/", *words)
    media, secrets = f"{settings.www}/media", f"{settings.etc}/{settings.app}.secrets"
    owners = {media: f"{settings.app}:www-data", secrets: f"root:{settings.app}"}
    for path, owner in owners.items():  # a new server may have other numbers for its users
        if path in paths and os.path.exists(path):
            shell.output(["chown", "-R", owner, path], seconds=math.inf)
    say(f"files are back: {', '.join(path for path in paths if path in settings.files)}")


def bring_sqlite(settings: Settings) -> None:
    """Put the copy of the SQLite database in its place, if it was brought back and nothing is there."""
    path = sqlite_path(settings)
    copy = f"{settings.folder}/sqlite/{os.path.basename(path)}"
    if not path or os.path.exists(path) or not os.path.exists(copy):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.move(copy, path)
    shell.output(["chown", "-R", f"{settings.app}:{settings.app}", f"{settings.www}/data"])
    say(f"the database is back: {path}")
