"""pgBackRest's configuration on this host: a folder that the database's containers have at /etc/pgbackrest. With it go
the repository's password and keys, so that root and the image's user alone may read it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from slipway.lasting.files import write_replace

from . import place, postgres, sftp, shell
from .password import NAME
from .place import Place
from .settings import Settings
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
    options |= {"repo1-cipher-pass": settings.keys[NAME], "archive-push-queue-max": str(queue)}
    if settings.keep == "all":
        options["expire-auto"] = "n"
    else:
        options |= {"repo1-retention-full-type": "time", "repo1-retention-full": str(settings.any_second)}
    stanza = {"pg1-path": data, "pg1-socket-path": settings.sockets, "pg1-user": "postgres"}
    return f"[global]\n{lines(options)}\n[{settings.app}]\n{lines(stanza)}"


def lines(options: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in options.items())


def queue(free: int) -> int:
    """Return the bytes of WAL that may wait on a disk with so many free ones. More is dropped."""
    return max(QUEUE[0], min(free // SHARE, QUEUE[1]))


def path(settings: Settings) -> str:
    return f"{settings.etc}/{settings.service}.pgbackrest"


def is_written(settings: Settings) -> bool:
    """Return True if the image's user can read a configuration, which is for this image."""
    file = Path(path(settings), "pgbackrest.conf")
    if not file.exists():
        return False
    mine = file.stat().st_uid == postgres.owner(settings)[0]
    return mine and f"\npg1-path={postgres.data_path(settings)}\n" in file.read_text(encoding="utf-8")


def write(settings: Settings) -> None:
    """Write the folder. Raise Problem if the place cannot be reached by what root has here."""
    found = place.parse(settings.to)
    if found is None:
        raise Problem(f"{settings.place}: pgBackRest has no such place: choose another one in production.toml")
    repository, files = described(settings, found)
    folder, owner = path(settings), postgres.owner(settings)
    os.makedirs(folder, exist_ok=True)
    os.chown(folder, *owner)
    os.chmod(folder, 0o500)
    queued = queue(postgres.disk(settings).free)
    files["pgbackrest.conf"] = text(settings, repository, queued, postgres.data_path(settings))
    for name, content in files.items():
        write_replace(f"{folder}/{name}", content, 0o400, owner)


def tune(settings: Settings) -> None:
    """Let less WAL wait as the disk gets full, and more once it is not."""
    file = Path(path(settings), "pgbackrest.conf")
    content = file.read_text(encoding="utf-8") if file.exists() else ""
    found, wanted = LIMIT.search(content), queue(postgres.disk(settings).free)
    if found and not int(found[1]) / 2 < wanted < int(found[1]) * 2:
        write_replace(file, LIMIT.sub(f"archive-push-queue-max={wanted}", content), 0o400, postgres.owner(settings))


def described(settings: Settings, found: Place) -> tuple[Mapping[str, str], dict[str, str]]:
    """Return the repository's options, and name → content of further files."""
    if found.kind == "sftp":
        return by_ssh(settings, found)
    files = {}
    credentials = settings.keys.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if found.kind == "gcs" and credentials:
        files["gcs.json"] = read(credentials)
    if authority := settings.keys.get(place.AUTHORITY, ""):
        files[place.CERTIFICATES] = read(authority)
    return place.options(found, settings.keys), files


def by_ssh(settings: Settings, found: Place) -> tuple[Mapping[str, str], dict[str, str]]:
    account = sftp.account(settings, found)
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, sftp.KNOWN)
        known.write_text(sftp.known_keys(settings, account), encoding="utf-8")
        home = sftp.home(settings, account, str(known))
        files = {sftp.KEY: read(account.key), sftp.KNOWN: known.read_text(encoding="utf-8")}
    return sftp.options(account, os.path.join(home, found.database)), files


def read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise Problem(f"{file}: {error.strerror}") from None


# ---- a place that is a folder ----


def bind(settings: Settings) -> None:
    """Let the database's container see a place that is a folder, once its disk is mounted: it has the mount point from
    its start. A place that is away keeps no database from its start."""
    found, point = place.parse(settings.to), mount_point(settings)
    if found and found.is_folder and os.path.isdir(found.database):
        os.makedirs(point, exist_ok=True)
        if not os.path.samefile(point, found.database):  # a bind mount of one disk is no mount point to Python
            shell.output(["mount", "--bind", found.database, point])


def mount_point(settings: Settings) -> str:
    return f"{settings.folder}/place"


def folder_of(settings: Settings) -> str:
    """Return the repository's folder on this host, "" if it is elsewhere. Raise Problem if it is missing."""
    found = place.parse(settings.to)
    if not found or not found.is_folder:
        return ""
    if not os.path.isdir(found.database):
        raise Problem(f"{found.database} is missing: mount its disk; if it is lost, slipway backup --new begins anew")
    return found.database


def make_folder(settings: Settings) -> None:
    """Make the repository's folder, if the place is one."""
    found = place.parse(settings.to)
    if found and found.is_folder:
        os.makedirs(found.database, mode=0o750, exist_ok=True)
        os.chown(found.database, *postgres.owner(settings))
        bind(settings)
