"""Shows how far something is that lasts: bytes, and the seconds left."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator

from . import shell
from .shell import Problem, megabytes

EVERY = 1  # seconds
CLEAR = "\r\033[K"  # the terminal's line


def line(done: int, total: int, seconds: float) -> str:
    """Return what to show after `seconds`. `done`, `total`: bytes; without a total nobody knows what is left."""
    if not total:
        return megabytes(done)
    text = f"{megabytes(min(done, total))} of {megabytes(total)}"
    if not done:
        return text
    left = max(0, total - done) * seconds / done
    return f"{text}, {left:.0f} s left"


@contextlib.contextmanager
def shown(done: Callable[[], int], total: int = 0) -> Iterator[None]:
    """While the block runs, show whoever watches at a terminal how many of `total` bytes are done."""
    if not shell.is_watched():
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=show, args=(done, total, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def show(done: Callable[[], int], total: int, ended: threading.Event) -> None:
    """Show it until the end. If it cannot be known, such as of a container that has ended, show no more."""
    began = time.monotonic()
    with contextlib.suppress(Problem, OSError):
        while not ended.wait(EVERY):
            print(f"{CLEAR}{line(done(), total, time.monotonic() - began)}", end="", flush=True)
    print(CLEAR, end="", flush=True)


def size(path: str) -> int:
    """Return the bytes of a file, or of all files in a folder. What is missing, or goes meanwhile, has none."""
    paths = [path, *(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)]
    total = 0
    for each in paths:
        with contextlib.suppress(OSError):
            total += os.lstat(each).st_size
    return total
