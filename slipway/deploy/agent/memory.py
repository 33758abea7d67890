"""The slots' use of memory, and the need of a second one."""

from __future__ import annotations

import contextlib
import re

from . import disk, slots
from .host import Host
from .message_types import Container, Memory

SPARE = 64 * 2**20  # bytes that must remain free beside a second slot


def free_and_needed(host: Host, ours: dict[str, Container], live: str | None) -> Memory:
    """Return how many bytes of memory are free once the idle slot stops, and how many a new slot needs."""
    by_slot = bytes_in_use(
        host, {container[0]: name[-1] for name, container in ours.items() if name.endswith(("-a", "-b"))}
    )
    free = re.search(r"MemAvailable: +(\d+)", disk.read(host.root + "/proc/meminfo") or "") or [0, 0]
    return {
        "memory": int(free[1]) * 1024 + (by_slot[slots.other(live)] if live else 0),
        "need": SPARE + (by_slot[live] if live else 0),
    }


def bytes_in_use(host: Host, ids: dict[str, str]) -> dict[str, int]:
    """Return how many bytes of memory each slot's containers use, without page cache. `ids`: container's id → slot."""
    by_slot = {"a": 0, "b": 0}
    for pid in filter(str.isdigit, disk.list_folder(host.root + "/proc")):
        with contextlib.suppress(OSError):  # the file vanishes if the process ends
            groups = disk.read(f"{host.root}/proc/{pid}/cgroup") or ""
            for container in filter(groups.__contains__, ids):
                used = disk.read(f"{host.root}/proc/{pid}/smaps_rollup") or ""
                by_slot[ids[container]] += sum(map(int, re.findall(r"^Pss_(?:Anon|Shmem): +(\d+)", used, re.M))) * 1024
    return by_slot
