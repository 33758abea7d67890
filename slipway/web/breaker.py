"""A circuit breaker: nobody waits for a service that has just let others wait for nothing.

A request that needs a cache or broker which hangs has its answer soon. But as long as it hangs, such requests would
hold all threads, and pages that do not need it would wait for one. So after one that waited in vain the next one
tries alone, others fail at once meanwhile; if it waits in vain too, one at a time tries again, every few seconds. An
answer that was merely late, as a busy machine's may be, is so forgotten with the next one.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

SLOW = 0.5  # seconds: what fails sooner holds up nobody
REST = 3  # seconds until the next one tries


class Hangs(ConnectionError):
    """It let somebody wait just now."""


class Breaker:
    """`with breaker.attempt():` around what may hang; raises Hangs at once while it does."""

    hangs: type[Exception] = Hangs

    def __init__(self, name: str) -> None:
        self.name, self.lock = name, threading.Lock()
        self.until: float | None = None  # when the next one may try; None: all may

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        tries, began = self.check(), time.monotonic()
        try:
            yield
        except Exception as error:
            self.settle(tries, self.in_vain(error, time.monotonic() - began))
            raise
        self.settle(tries, False)

    def check(self) -> bool:
        """Whether this one tries for all. Raises Hangs."""
        with self.lock:
            now = time.monotonic()
            if self.until is None:
                return False
            if now < self.until:
                raise self.hangs(f"the {self.name} did not answer just now")
            self.until = now + REST  # others do not wait for this one
            return True

    def in_vain(self, error: Exception, seconds: float) -> bool:
        """Whether it hung, by what was raised and how long that took."""
        return seconds > SLOW

    def settle(self, tries: bool, in_vain: bool) -> None:
        """Note how it went."""
        with self.lock:
            if not in_vain:
                self.until = None
            elif tries:
                self.until = time.monotonic() + REST
            elif self.until is None:  # the first of those who wait
                self.until = time.monotonic()
