"""pgBackRest's configuration on this host: a folder that the database's containers have at /etc/pgbackrest. With it go
the repository's password and keys, so that root and the image's user alone may read it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from slipway.lasting.files import write_replace

from . import place, postgres, sftp, shell
from .settings import REPOSITORY_KEY, Settings
from .shell import Problem

QUEUE = (64 << 20, 16 << 30)  # bytes of WAL that may wait for the place: at least, at most
SHARE = 4  # of the free disk that waiting WAL may take: a quarter
LIMIT = re.compile(r"^archive-push-queue-max=(\d+)$", re.MULTILINE)
FIXED = {
    "repo1-cipher-type": "aes-256-cbc",
    "repo1-bundle": "y",
    "repo1-block": "y",
    "start-fast": "y",
    "compress-type": "zst",
    "process-max": "1",
    "archive-async": "y",
    "archive-get-queue-max": "64MiB",
    "spool-path": "/spool",
    "lock-path": "/tmp/pgbackrest",
    "io-timeout": "30",
    "log-level-file": "off",
    "log-level-console": "off",
    "log-level-stderr": "error",
    "log-timestamp": "n",
}


def text(settings: Settings, repository: Mapping[str, str], queue: int, data: str) -> str:
    """Return the content of pgbackrest.conf. `repository`: options without "repo1-"; `queue`: bytes of WAL; `data`: the
    path of the database's files."""
    options = {**FIXED, **{f"repo1-{name}": value for name, value in repository.items()}}
    options |= {"repo1-cipher-pass": settings.keys[REPOSITORY_KEY], "archive-push-queue-max": str(queue)}
    if settings.keep == "all":
        options["expire-auto"] = "n"
    else:
        options |= {"repo1-retention-full-type": "time", "repo1-retention-full": str(settings.any_second)}
    stanza = {"pg1-path": data, "pg1-socket-path": settings.sockets, "pg1-user": "postgres"}
    of_all, of_app = ("".join(f"{name}={value}\n" for name, value in part.items()) for part in (options, stanza))
    return f"[global]\n{of_all}\n[{settings.app}]\n{of_app}"


def queue(settings: Settings) -> int:
    """Return the bytes of WAL that may wait on the database's disk. More is dropped."""
    free = shutil.disk_usage(postgres.volume_path(settings.image["DATA"])).free
    return max(QUEUE[0], min(free // SHARE, QUEUE[1]))


def path(settings: Settings) -> Path:
    """Return the path of pgbackrest.conf on this host."""
    return Path(f"{settings.etc}/{settings.service}.pgbackrest/pgbackrest.conf")


def is_written(settings: Settings) -> bool:
    """Return True if the image's user can read a configuration, which is for this image."""
    file = path(settings)
    if not file.exists() or file.stat().st_uid != postgres.owner(settings)[0]:
        return False
    return f"\npg1-path={postgres.data_path(settings)}\n" in file.read_text(encoding="utf-8")


def write(settings: Settings) -> None:
    """Write the folder. Raise Problem if the place cannot be reached by what root has here."""
    options, files = described(settings)
    folder, owner = path(settings).parent, postgres.owner(settings)
    folder.mkdir(exist_ok=True)
    os.chown(folder, *owner)
    folder.chmod(0o500)
    files["pgbackrest.conf"] = text(settings, options, queue(settings), postgres.data_path(settings))
    for name, content in files.items():
        write_replace(folder / name, content, 0o400, owner)


def described(settings: Settings) -> tuple[Mapping[str, str], dict[str, str]]:
    """Return the repository's options, and name → content of further files."""
    if settings.place.kind == "sftp":
        return sftp.described(settings)
    files = {}
    credentials = settings.keys.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if settings.place.kind == "gcs" and credentials:
        files["gcs.json"] = Path(credentials).read_text(encoding="utf-8")
    if authority := settings.keys.get(place.AUTHORITY, ""):
        files[place.CERTIFICATES] = Path(authority).read_text(encoding="utf-8")
    return place.options(settings.place, settings.keys), files


def tune(settings: Settings) -> None:
    """Let less WAL wait as the disk gets full, and more once it is not."""
    file = path(settings)
    content = file.read_text(encoding="utf-8") if file.exists() else ""
    found, wanted = LIMIT.search(content), queue(settings)
    if found and not int(found[1]) / 2 < wanted < int(found[1]) * 2:
        write_replace(file, LIMIT.sub(f"archive-push-queue-max={wanted}", content), 0o400, postgres.owner(settings))


# ---- a place that is a folder ----


def bind(settings: Settings) -> None:
    """Let the database's container see a place that is a folder, once its disk is mounted: it has the mount point from
    its start. A place that is away keeps no database from its start."""
    folder, point = settings.place.folder, f"{settings.folder}/place"
    if folder and os.path.isdir(folder):
        os.makedirs(point, exist_ok=True)
        if not os.path.samefile(point, folder):  # a bind mount of one disk is no mount point to Python
            shell.output(["mount", "--bind", folder, point])


def check_folder(settings: Settings) -> None:
    """Raise Problem if the place is a folder that is missing: nothing may be made in its stead."""
    folder = settings.place.folder
    if folder and not os.path.isdir(folder):
        raise Problem(f"{folder} is missing: mount its disk; if it is lost, slipway backup --new begins anew")


def make_folder(settings: Settings) -> None:
    """Make the repository's folder, if the place is one."""
    if folder := settings.place.folder:
        os.makedirs(folder, mode=0o750, exist_ok=True)
        os.chown(folder, *postgres.owner(settings))
        bind(settings)
