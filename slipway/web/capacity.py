"""The container's limits of CPU and memory, and the number of workers that they allow."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MOST = 9  # more workers need more memory and database sessions than they are worth
# MB. SHARED: the first process, with all that workers share. EACH: a worker's own memory (21, by smaps_rollup), two
# passwords hashed at a time (38), and 41 for your code. EACH_ALONE: if a worker loads the project itself (37, not 21).
SHARED = 100
EACH = 100
EACH_ALONE = 120


def cpus() -> int:
    """Return how many CPUs the container may use (at least 1; without a limit, all CPUs of the machine)."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = read_numbers("cpu.max") or read_numbers("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us") or (0, 1)
    return max(1, min(available, math.ceil(quota / period))) if quota > 0 else available


def memory() -> int | None:
    return next(iter(read_numbers("memory.max") or read_numbers("memory/memory.limit_in_bytes")), None)


def read_numbers(*paths: str) -> list[int]:
    """Return the numbers in these files under CGROUP; [] if a file is missing or contains "max" (no limit)."""
    try:
        return [int(word) for path in paths for word in (CGROUP / path).read_text().split()]
    except (OSError, ValueError):
        return []


def workers(cpus: int, memory: int | None, preload: bool = True) -> int:
    """Return how many workers to start: `cpus` + 1, at most MOST. Return fewer if `memory` (in bytes) is short."""
    count = min(cpus + 1, MOST)
    if memory is None:
        return count
    return max(1, min(count, (memory // 2**20 - SHARED) // (EACH if preload else EACH_ALONE)))
