"""Pyinfra's operations with the names that provisioning prints."""

import shlex

from pyinfra.api.operation import OperationMeta
from pyinfra.operations import files, server, systemd

from ..server.files import File, Folder
from .operations import Entry, whole_file

LONG = 1000  # seconds: the `_timeout` of slow operations, which session.py announces
ENABLED = (
    "balancer-hosts@",
    "consul-hosts@",
    "docker-service@",
    "docker-backup-",
)  # what begins the names of services that are enabled


def write(file: File, existing: dict[str, Entry] | None = None) -> OperationMeta:
    return whole_file(name=f"write {file.path}", file=file, seen=existing)


def folder(path: str) -> None:
    """Create a folder. An existing one keeps its mode and owner."""
    files.directory(name=f"make folder {path}", path=path)


def owned_folder(each: Folder) -> None:
    files.directory(name=f"make folder {each.path}", path=each.path, mode=each.mode, user=each.user, group=each.group)


def enable(unit: str, running: bool | None = None) -> None:
    systemd.service(name=f"enable {unit}", service=unit, enabled=True, running=running)


def stop(units: list[str]) -> None:
    names, enabled = (
        shlex.join(units),
        shlex.join(unit for unit in units if unit.endswith((".target", ".timer")) or unit.startswith(ENABLED)),
    )
    server.shell(
        name=f"stop {', '.join(units)}",
        _timeout=LONG,
        commands=[
            f"systemctl stop {names}",
            f"for unit in {names}; do ! systemctl --quiet is-failed $unit || systemctl reset-failed $unit; done",
            *([f"systemctl --quiet disable {enabled}"] if enabled else ()),
        ],
    )
