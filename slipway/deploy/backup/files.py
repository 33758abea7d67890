"""The app's files on this host: uploads, settings and secrets, and the database if that is SQLite."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
from contextlib import closing

from . import retention, shell, state
from .repository import Repository
from .settings import Settings
from .shell import Problem, say

PAGES = 1000  # copied at a time, so that the app can write in between


def keep(settings: Settings, repository: Repository) -> None:
    with state.recorded(settings, "files"):
        copy = copied(settings)
        paths = [path for path in (*settings.files, *copy) if os.path.exists(path)]
        try:
            repository.backup(paths, {"kind": "files"}, shown=shell.is_watched())
        finally:
            for path in copy:
                shutil.rmtree(os.path.dirname(path))
    if not settings.postgres:  # else each base backup prunes
        retention.prune_daily(settings, repository)


def copied(settings: Settings) -> list[str]:
    """Copy the app's SQLite database, if it has one. Return the copy's path."""
    source = sqlite_path(settings)
    if not source:
        return []
    folder = f"{settings.folder}/sqlite"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = f"{folder}/{os.path.basename(source)}"
    try:
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old, closing(sqlite3.connect(path)) as new:
            old.backup(new, pages=PAGES)
    except sqlite3.Error as error:
        raise Problem(f"{source}: {error}") from None
    return [path]


def sqlite_path(settings: Settings) -> str:
    """Return the path of the app's SQLite database on this host, or "". Containers see it in /data."""
    scheme, _, path = settings.database_url.partition(":////data/")
    found = f"{settings.root}/var/www/{settings.app}/data/{path}"
    return found if scheme in ("sqlite", "spatialite") and os.path.exists(found) else ""


def put_back(settings: Settings, repository: Repository, at: str) -> None:
    """Bring uploads back, as they were at a time in seconds, or "latest"; settings and secrets, too, if no release is
    live on this host. What is newer stays."""
    snapshots = repository.snapshots(kind="files")
    if not snapshots:
        raise Problem(f"{settings.to} has no files of {settings.app}")
    moment = math.inf if at == "latest" else float(at)
    chosen = next((snapshot for snapshot in snapshots if snapshot.at >= moment), snapshots[-1])
    media, app = f"{settings.root}/var/www/{settings.app}/media", settings.app
    bare = not os.path.exists(f"{settings.root}/var/www/{app}/TAG")
    paths = [path for path in settings.files if bare or path == media]
    if not paths:
        return
    repository.restore(chosen, "/", paths, shown=shell.is_watched())
    owners = {media: f"{app}:www-data", f"{settings.etc}/{app}.secrets": f"root:{app}"}
    for path, owner in owners.items():  # a new server may have other numbers for its users
        if path in paths and os.path.exists(path):
            shell.output(["chown", "-R", owner, path], seconds=None)
    say(f"files are back: {', '.join(paths)}")
