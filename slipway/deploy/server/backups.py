"""The files of an app's backups on the hosts that send them. Does no I/O."""

import json
import shlex
from collections.abc import Iterator

from ..agent.host import UNITS
from ..config import Fleet, Host
from ..ssh.bootstrap import package
from . import services
from .files import File, has_media
from .render import render

LIBRARY = "/usr/local/lib/docker-backup"
# What docker-backup imports, under the package's own paths. It needs only Python 3.9.
PARTS = ("__init__.py", "envfile.py", "lasting", "deploy/__init__.py", "deploy/backup")
HOUR = 3600
LIMITS = {
    "base": 24 * HOUR,
    "wal": HOUR // 4,
    "files": 24 * HOUR,
    "dump": 24 * HOUR,
    "drill": 24 * HOUR,
}  # seconds that a run may take
MARK = "# A service of {}, for docker-runner; written by provisioning."
RECEIVER = ("--directory=/wal", "--slot=base_backup", "--username=base_backup", "--no-password", "--status-interval=1")


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
    if has_postgres(fleet, host):
        yield receiver(fleet)


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
    return File(f"/etc/default/{app}.backup.json", json.dumps(values, indent=1) + "\n")


def keys_path(app: str) -> str:
    """Return the path of the repository's password and keys, as variables of the environment."""
    return f"/etc/default/{app}.backup"


def keys_file(app: str, keys: str) -> File:
    return File(keys_path(app), keys, "600")


def receiver(fleet: Fleet) -> File:
    """Return /etc/default/APP-wal, by which docker-runner runs the receiver of WAL."""
    app, sockets = fleet.app, services.folder(fleet.app, "postgres")
    image = next(service.image for service in fleet.services if service.kind == "postgres")
    options = shlex.join(
        [
            *("--network=none", "--read-only", "--memory=128m", "--memory-swap=128m", "--entrypoint=pg_receivewal"),
            *("-v", f"{sockets}:{sockets}", "-v", f"/var/backups/{app}/wal:/wal"),
        ]
    )
    lines = [
        MARK.format(app),
        f"IMAGE={image}",
        "OPTS=" + shlex.quote(f'--user "$OWNER" {options}'),
        f"COMMAND={shlex.quote(shlex.join([*RECEIVER, f'--host={sockets}']))}",
    ]
    return File(f"/etc/default/{app}-wal", "".join(f"{line}\n" for line in lines))


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
    if "wal" not in mine:
        yield f"docker-service@{fleet.app}-wal.service"


def stale_files(fleet: Fleet, host: Host) -> list[str]:
    mine = actions(fleet, host)
    timers = [f"{UNITS}/{timer_unit(fleet.app, action)}" for action in LIMITS if action not in mine]
    return [*timers, *([] if mine else [f"/etc/default/{fleet.app}.backup.json"])]
