"""Nobody waits for a service that has just let somebody wait for nothing.

A request that needs a cache or broker which hangs has its answer within 2 s. But as long as it hangs, such requests
would hold all threads, and pages that need neither would wait for one. So after the first that waited in vain the next
ones fail at once, and one at a time tries again, every few seconds.
"""

import contextlib
import threading
import time

SLOW = 0.5  # seconds: what fails sooner holds up nobody
REST = 3  # seconds until the next one tries


class Hangs(ConnectionError):
    """It let somebody wait just now."""


class Fuse:
    """`with fuse:` around what may hang; raises Hangs at once while it does."""

    def __init__(self, name):
        self.name, self.lock, self.until = name, threading.Lock(), None

    @contextlib.contextmanager
    def guard(self):
        self.check()
        began = time.monotonic()
        try:
            yield
        except Exception:
            self.until = time.monotonic() + REST if time.monotonic() - began > SLOW else None
            raise
        self.until = None

    def check(self):
        with self.lock:
            now = time.monotonic()
            if self.until and now < self.until:
                raise Hangs(f"the {self.name} did not answer just now")
            self.until = self.until and now + REST  # this one tries, others do not wait for it
