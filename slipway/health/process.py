"""Uptime, worker number and memory. With gunicorn, every worker's uptime counts from the start of gunicorn."""

import os
import time
from pathlib import Path

started = time.monotonic()  # start of gunicorn's first process, or of this one without gunicorn
worker = "0"  # number of this gunicorn worker: "1", "2", …; the worker that replaces it gets the same


def uptime() -> float:
    return time.monotonic() - started


def memory(pid: int) -> int:
    """Return a process's resident memory in bytes, or 0 if it cannot be read."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
