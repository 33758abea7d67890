"""Show that a long step is still under way, so that nobody takes it for one that hangs. Needs Python 3.9."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

EVERY = 15  # seconds between two lines


@contextlib.contextmanager
def still(step: str) -> Iterator[None]:
    """Until the block ends, print how long the step has lasted, every EVERY seconds."""
    ended, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not ended.wait(EVERY):
            print(f"make: still {step}, for {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
