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
    quota, period = numbers("cpu.max") or numbers("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us") or (0, 1)
    return max(1, min(here, math.ceil(quota / period))) if quota > 0 else here


def memory() -> int | None:
    """How many bytes this container may take (cgroup 2 or 1), or None: as many as there are."""
    return next(iter(numbers("memory.max") or numbers("memory/memory.limit_in_bytes")), None)


def numbers(*paths: str) -> list[int]:
    """Those in files of the control group; none where one is not there, or says "max"."""
    try:
        return [int(word) for path in paths for word in (CGROUP / path).read_text().split()]
    except (OSError, ValueError):
        return []


def workers(cpus: int, memory: int | None, preload: bool = True) -> int:
    """As many as keep the CPUs busy and fit into the memory; at least 1, as a site without any answers nobody, and one
    that outgrows its memory is started again."""
    wanted = min(cpus + 1, MOST)
    if memory is None:
        return wanted
    return max(1, min(wanted, (memory // 2**20 - SHARED) // (EACH if preload else EACH_ALONE)))
