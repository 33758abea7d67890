"""A circuit breaker: calls fail at once while a service hangs.

Each call to a hanging cache or broker waits for its timeout. Without a breaker such calls would occupy all threads.
After a first timeout, one call may try the service, and all others fail at once. If this call times out too, one
call may try every REST seconds. Once a call no longer hangs, all calls are allowed.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

SLOW = 0.5  # seconds
REST = 3  # seconds after a timeout until the next call may try


class Hangs(ConnectionError):
    """Raised instead of calling a service that hung a moment ago."""


class Breaker:
    """A circuit breaker. Make calls inside `with breaker.attempt():`. This raises Hangs if a call is not allowed. A
    call that fails after more than `slow` seconds counts as hanging."""

    def __init__(self, name: str, slow: float = SLOW) -> None:
        self.name = name
        self.slow = slow
        self.lock = threading.Lock()
        self.until: float | None = None  # the time at which the next call may try; None: all calls are allowed

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        tries = self.check()
        began = time.monotonic()
        try:
            yield
        except Exception:
            self.settle(tries, time.monotonic() - began > self.slow)
            raise
        self.settle(tries, False)

    def check(self) -> bool:
        """Return False if all calls are allowed, True if only this call is. Raise Hangs if this call is not allowed."""
        with self.lock:
            now = time.monotonic()
            if self.until is None:
                return False
            if now < self.until:
                raise Hangs(f"the {self.name} did not answer just now")
            self.until = now + REST  # meanwhile other calls fail at once
            return True

    def settle(self, tries: bool, in_vain: bool) -> None:
        """Record how a call ended. `in_vain` means that the call hung; `tries` is what `check` returned."""
        with self.lock:
            if not in_vain:
                self.until = None
            elif tries:
                self.until = time.monotonic() + REST
            elif self.until is None:  # the first timeout: let the next call try
                self.until = time.monotonic()
