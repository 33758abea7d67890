"""Tell within milliseconds how this host is, for those who look every few seconds: load, memory, disks, visitors, and a
deploy or rollback that is under way."""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TypedDict

from . import disk, releases, step_log, traffic
from .host import Host, Problem
from .message_types import NotRequired, Time
from .step_log import Step
from .traffic import Place, Traffic

FOLDERS = ("/", "/var/lib/docker", "/var/log")
UNITS = "/run/systemd/units"  # where systemd has, for journald, a link `invocation:UNIT` to each start of a unit


class Space(TypedDict):
    """Bytes."""

    free: int
    size: int


class Underway(TypedDict):
    """A deploy, restart or rollback that has not ended. `seconds`: how long ago it began here. `takeback`: why it is
    being taken back; missing while it is not."""

    action: str
    tag: str
    who: str
    seconds: Time
    takeback: NotRequired[str]


class Pulse(TypedDict):
    """`load`: of the last minute. `disks`: one of the paths on each disk → its space. `state`: another text once the
    release, its slot, the maintenance page or, unless by a deploy, a unit has changed. `steps`: of the process that
    holds the lock. `closed`: since when visitors get the maintenance page; None: they do not."""

    now: Time
    load: Time
    cpus: int
    memory: Space
    disks: dict[str, Space]
    state: str
    underway: Underway | None
    steps: list[Step]
    closed: Time | None
    traffic: Traffic


def take(host: Host, place: Place | None = None) -> Pulse:
    """`place`: that of the last answer's traffic, None at first."""
    attempt = underway(host)
    return {
        "now": time.time(),
        "load": os.getloadavg()[0],
        "cpus": os.cpu_count() or 1,
        "memory": memory(host),
        "disks": disks(host),
        "state": " ".join([*change_marks(host), *([] if attempt else unit_marks(host))]),
        "underway": attempt,
        "steps": step_log.steps_under_way(host),
        "closed": maintenance_since(host),
        "traffic": traffic.newer(host, place),
    }


def memory(host: Host) -> Space:
    text = disk.read(f"{host.root}/proc/meminfo") or ""
    sizes = {name: int(number) * 1024 for name, number in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    return {"free": sizes.get("MemAvailable", 0), "size": sizes.get("MemTotal", 0)}


def disks(host: Host) -> dict[str, Space]:
    by_device: dict[int, tuple[str, Space]] = {}
    for path in FOLDERS:
        with contextlib.suppress(OSError):
            status = os.statvfs(host.root + path)
            space: Space = {"free": status.f_bavail * status.f_frsize, "size": status.f_blocks * status.f_frsize}
            by_device.setdefault(os.stat(host.root + path).st_dev, (path, space))
    return dict(by_device.values())


def change_marks(host: Host) -> list[str]:
    """Return texts that change with what visitors get."""
    parts = []
    nginx = [f"{host.root}/etc/nginx/{host.app}{end}" for end in ("", "-balancer")]
    for path in (host.tag, host.env, host.log, *nginx):
        with contextlib.suppress(OSError):
            parts.append(str(os.stat(path).st_mtime_ns))
    with contextlib.suppress(OSError):
        parts.append(os.readlink(host.web_sock))
    return parts


def unit_marks(host: Host) -> list[str]:
    """Return texts that change with a start or end of nginx, Docker or one of the app's units."""
    folder = host.root + UNITS
    ours = (f"invocation:{host.app}-", "invocation:nginx.", "invocation:docker.")
    parts = []
    with contextlib.suppress(OSError):
        for name in sorted(name for name in os.listdir(folder) if name.startswith(ours)):
            parts.append(name + os.readlink(f"{folder}/{name}"))
    return parts


def maintenance_since(host: Host) -> float | None:
    """Return since when visitors get the maintenance page, None if they do not."""
    for path in host.maintenance:
        with contextlib.suppress(OSError):
            return os.stat(path).st_mtime
    return None


def underway(host: Host) -> Underway | None:
    """Return the attempt that has not ended; None if its process has died, which `slipway status` tells."""
    try:
        attempt = releases.read_attempt(host)
    except (Problem, OSError):
        return None
    if attempt is None or "action" not in attempt or has_died(host):
        return None
    told: Underway = {
        "action": attempt["action"],
        "tag": attempt["tag"],
        "who": str(attempt.get("who", "")),
        "seconds": max(0.0, time.monotonic() - attempt.get("started", time.monotonic())),
    }
    if attempt.get("promised") is False:  # missing until it is promised or withdrawn
        told["takeback"] = str(attempt.get("cause", ""))
    return told


def has_died(host: Host) -> bool:
    """Return True if systemd runs no unit that holds the host's lock."""
    folder = host.root + UNITS
    return os.path.isdir(folder) and not os.path.lexists(f"{folder}/invocation:{host.lock}")
