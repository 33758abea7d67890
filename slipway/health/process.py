"""What a process knows of itself. gunicorn's workers get a copy of this module's values when they are forked."""

import os
import time
from pathlib import Path

started = time.monotonic()  # of gunicorn's first process, or of this one where there is no gunicorn
worker = "0"  # which of gunicorn's workers this is, "1" and up: a worker that ends leaves its number to the next


def uptime() -> float:
    return time.monotonic() - started


def memory(pid: int) -> tuple[int, int] | None:
    """(resident, virtual) bytes of a process, or None: it is gone, or this system has no /proc."""
    try:
        virtual, resident = Path(f"/proc/{pid}/statm").read_text().split()[:2]
    except OSError:
        return None
    page = os.sysconf("SC_PAGE_SIZE")
    return int(resident) * page, int(virtual) * page
