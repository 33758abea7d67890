"""The files of an app's backups on the hosts that send them. Does no I/O."""

import json
from collections.abc import Iterator

from ..agent.host import UNITS
from ..backup.commands import LIMITS
from ..config import Fleet, Host
from ..ssh.bootstrap import package
from .files import File, has_media
from .render import render

LIBRARY = "/usr/local/lib/docker-backup"
# What docker-backup imports, under the package's own paths. It needs only Python 3.9.
PARTS = ("__init__.py", "envfile.py", "lasting", "deploy/__init__.py", "deploy/backup")


def has_postgres(fleet: Fleet, host: Host) -> bool:
    return host == fleet.postgres_host


def has_files(fleet: Fleet, host: Host) -> bool:
    return host == fleet.backup_hosts[-1]


def actions(fleet: Fleet, host: Host) -> list[str]:
    """Return what timers do on a host."""
    if host not in fleet.backup_hosts:
        return []
    database = ["base", "wal", "drill"] if has_postgres(fleet, host) else []
    of_files = ["files", *(["dump"] if fleet.backup["dump"] else [])] if has_files(fleet, host) else []
    return [*database, *of_files]


def program() -> Iterator[File]:
    """Yield the files of docker-backup."""
    for path, text in package(PARTS).items():
        yield File(f"{LIBRARY}/{path}", text)
    yield File("/usr/local/bin/docker-backup", render("docker-backup", {}), "755")


def files(fleet: Fleet, host: Host) -> Iterator[File]:
    """Yield the settings of a host that sends backups, without the repository's password and keys."""
    if host not in fleet.backup_hosts:
        return
    yield settings(fleet, host)


def settings(fleet: Fleet, host: Host) -> File:
    app, postgres = fleet.app, has_postgres(fleet, host)
    media = [f"/var/www/{app}/media"] if has_media(fleet, host) else []
    values = {
        **{key: fleet.backup[key] for key in ("to", "wal", "any_second", "keep")},
        "postgres": postgres,
        "dump": fleet.backup["dump"] if has_files(fleet, host) else "",
        "prunes": host == fleet.backup_hosts[0],
        "files": [f"/etc/default/{app}.env", f"/etc/default/{app}.secrets", *media] if has_files(fleet, host) else [],
    }
    return File(f"/etc/default/{app}.backup.json", json.dumps(values, indent=1) + "\n", "600")


def keys_path(app: str) -> str:
    """Return the path of the repository's password and keys, as variables of the environment."""
    return f"/etc/default/{app}.backup"


def keys_file(app: str, keys: str) -> File:
    return File(keys_path(app), keys, "600")


# ---- units ----


def unit_files(fleet: Fleet, host: Host) -> Iterator[File]:
    for action in actions(fleet, host):
        yield service(action)
        yield timer(fleet, action)


def service(action: str) -> File:
    values = {"ACTION": action, "LIMIT": str(LIMITS[action])}
    return File(f"{UNITS}/docker-backup-{action}@.service", render("systemd/docker-backup.service", values))


def timer(fleet: Fleet, action: str) -> File:
    values = {"ACTION": action, "APP": fleet.app, "WHEN": when(fleet, action)}
    return File(f"{UNITS}/{timer_unit(fleet.app, action)}", render("systemd/docker-backup.timer", values))


def timer_unit(app: str, action: str) -> str:
    return f"docker-backup-{action}@{app}.timer"


def when(fleet: Fleet, action: str) -> str:
    """Return the lines of a timer. A run begins after two thirds of `wal`, so that it ends in time."""
    if action in ("base", "dump"):
        return f"OnCalendar=*-*-* {fleet.backup['full']}\nPersistent=yes"
    if action == "drill":
        return f"OnCalendar={fleet.backup['drill'].replace(' ', ' *-*-* ')}\nPersistent=yes"
    return f"OnActiveSec=20s\nOnUnitActiveSec={fleet.backup['wal'] * 2 // 3}s"


def stale_units(fleet: Fleet, host: Host) -> Iterator[str]:
    """Yield the units of backups that the host no longer sends."""
    mine = actions(fleet, host)
    yield from (timer_unit(fleet.app, action) for action in LIMITS if action not in mine)


def stale_files(fleet: Fleet, host: Host) -> list[str]:
    mine = actions(fleet, host)
    timers = [f"{UNITS}/{timer_unit(fleet.app, action)}" for action in LIMITS if action not in mine]
    return [*timers, *([] if mine else [f"/etc/default/{fleet.app}.backup.json"])]
