"""What this container may use, and how many workers of gunicorn's that is enough for."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MOST = 9  # more want more memory, and more sessions of the database, than a site wins by them
# MB, of the first process with what its workers share, and of each worker: what it holds alone (21, or 37 without
# preloading, by smaps_rollup in the image), two passwords at a time (38), and as much again for your code.
SHARED, EACH, EACH_ALONE = 100, 100, 120


def cpus() -> int:
    """How many CPUs this container may use, at least 1: its limit (cgroup 2 or 1), else those of the machine."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for paths in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            quota, period = " ".join((CGROUP / path).read_text() for path in paths).split()
            return max(1, min(here, math.ceil(int(quota) / int(period)))) if int(quota) > 0 else here
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return here


def memory() -> int | None:
    """How many bytes this container may take (cgroup 2 or 1), or None: as many as there are."""
    for path in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((CGROUP / path).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return None


def workers(cpus: int, memory: int | None, preload: bool = True) -> int:
    """As many as keep the CPUs busy and fit into the memory; at least 1, as a site without any answers nobody, and one
    that outgrows its memory is started again."""
    wanted = min(cpus + 1, MOST)
    if memory is None:
        return wanted
    return max(1, min(wanted, (memory // 2**20 - SHARED) // (EACH if preload else EACH_ALONE)))
