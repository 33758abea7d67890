"""What memory a second slot needs, how much there is for it, and who holds more."""

from __future__ import annotations

import contextlib
import os
import re

from . import disk, slots
from .answers import Memory
from .host import Host, Problem
from .shapes import Any, Container

SPARE = 64 * 2**20  # bytes that a second slot must leave free


def look(host: Host, ours: dict[str, Container], everyones: Any, live: str | None) -> Memory:
    """What a second slot needs: as much as the live one holds. What the idle one still holds counts as available, as it
    is emptied before anything starts. `everyones`: what the engine says of the containers of all apps."""
    ids = {name[1:]: one["Id"] for one in everyones for name in one["Names"] or ()}
    held = held_by(host, set(ids.values()))
    mine = {slot: sum(held.get(one[0], 0) for name, one in ours.items() if name.endswith("-" + slot)) for slot in "ab"}
    return {"memory": available(host) + (mine[slots.other(live)] if live else 0),
            "need": SPARE + (mine[live] if live else 0), "warm": warm(host, ids, held)}


def available(host: Host) -> int:
    """Bytes of memory that are available."""
    return int((re.search(r"MemAvailable: +(\d+)", disk.read(host.root + "/proc/meminfo") or "") or [0, 0])[1]) * 1024


def warm(host: Host, ids: dict[str, str], held: dict[str, int]) -> dict[str, int]:
    """app → bytes that its idle slot holds, of the other apps here whose `systemctl start APP-retire` would end it."""
    found: dict[str, int] = {}
    for name, one in ids.items():
        app, _, slot = (name.rsplit("-", 2) + ["", ""])[:3]
        if app != host.app and slot in ("a", "b") and is_idle(Host(app, host.root), slot):
            found[app] = found.get(app, 0) + held.get(one, 0)
    return found


def is_idle(host: Host, slot: str) -> bool:
    """Whether an app has that slot, it is not the live one, and waits to be retired: a slot that boots does not."""
    with contextlib.suppress(Problem):
        timer = "%s/run/systemd/transient/%s.timer" % (host.root, slots.timer(host))
        return slot == slots.other(slots.live(host)) and os.path.exists(timer)
    return False


def held_by(host: Host, ids: set[str]) -> dict[str, int]:
    """id → bytes that a container holds, without page cache: by its group, or else by its processes, one by one."""
    found: dict[str, int] = {}
    for pid in filter(str.isdigit, disk.entries(host.root + "/proc")):
        with contextlib.suppress(OSError):
            groups = disk.read("%s/proc/%s/cgroup" % (host.root, pid)) or ""
            for one in filter(groups.__contains__, ids):
                by_group = of_group(host, groups, one)
                found[one] = found.get(one, 0) + of_process(host, pid) if by_group is None else by_group
    return found


def of_process(host: Host, pid: str) -> int:
    """Bytes that a process holds, its part of what several share. Many times slower to ask for than a group's."""
    text = disk.read("%s/proc/%s/smaps_rollup" % (host.root, pid)) or ""
    return sum(map(int, re.findall(r"^Pss_(?:Anon|Shmem): +(\d+)", text, re.M))) * 1024


def of_group(host: Host, groups: str, one: str) -> int | None:
    """Bytes that a container holds, by what /proc says of the groups of one of its processes; None where no group has
    a memory controller, as on a Raspberry Pi. Page cache does not count: the kernel takes it back."""
    for mark, folder, name in ((":memory:", "/sys/fs/cgroup/memory", "memory.usage_in_bytes"),
                               ("0::", "/sys/fs/cgroup", "memory.current")):
        path = re.search("%s(.*%s[^/\n]*)" % (mark, one), groups)
        usage = disk.read("%s%s%s/%s" % (host.root, folder, path[1], name)) if path else None
        if path and usage:
            text = disk.read("%s%s%s/memory.stat" % (host.root, folder, path[1])) or ""
            said = dict(line.split(" ") for line in text.splitlines())
            cache = [said.get("total_" + kind) or said.get(kind, "0") for kind in ("active_file", "inactive_file")]
            return max(0, int(usage) - sum(map(int, cache)))
    return None
