"""Calls of a file system that may hang: each has a limit of time, and leaves threads to other pages."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from slipway.web.breaker import Breaker

SECONDS = 2.0  # for a call
MOST = 8  # calls that hang, in a process
PLACES = 3  # requests, in a process: fewer than gunicorn has threads
PATIENCE = 0.25  # seconds that one more waits for a place, unless a call has taken as long

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Away(Exception):
    """The file system is not there, or fails: a line that says why."""


class Late(Away):
    """It did not answer in time."""


class Hangs(Away, ConnectionError):
    """It let somebody wait just now."""


class MountBreaker(Breaker):
    """For which only what came late was in vain: an error is an answer."""

    hangs = Hangs

    def in_vain(self, error: Exception, seconds: float) -> bool:
        return isinstance(error, Late)


class Mount:
    """A file system, as this process knows it."""

    def __init__(self) -> None:
        self.breaker, self.lock, self.away = MountBreaker("file system"), threading.Lock(), False
        self.calls: dict[Future[Any], float] = {}  # those under way → since when
        self.places = threading.BoundedSemaphore(PLACES)

    def take_place(self) -> bool:
        """Whether a request may go on. It gives its place back to `places`."""
        with self.lock:
            hangs = any(time.monotonic() - since > PATIENCE for since in self.calls.values())
        return self.places.acquire(timeout=0 if hangs else PATIENCE)

    def call(self, function: Callable[[], Result]) -> Result:
        """What the function returns, or raises. Raises Away, at once while the file system hangs."""
        try:
            with self.breaker.attempt():
                result = self.in_time(function)
        except Exception as error:
            self.note(error if isinstance(error, Away) else None)
            raise
        self.note(None)
        return result

    def in_time(self, function: Callable[[], Result], seconds: float = SECONDS) -> Result:
        """The same, tried at any rate. A thread that hangs cannot be ended: it does when its mount does."""
        future: Future[Result] = Future()
        with self.lock:
            if len(self.calls) >= MOST:
                raise Late(f"{MOST} calls hang")
            threading.Thread(target=self.run, args=(function, future), daemon=True).start()
            self.calls[future] = time.monotonic()
        wait((future,), seconds)
        if not future.done():
            raise Late(f"no answer within {seconds:g} s")
        return future.result()

    def run(self, function: Callable[[], Result], future: "Future[Result]") -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)
        finally:
            with self.lock:
                del self.calls[future]

    def note(self, error: Away | None) -> None:
        """One line when it goes, one when it is back."""
        with self.lock:
            changed, self.away = self.away != (error is not None), error is not None
        if changed and error:
            logger.error("the mounted files are away: %s", error)
        elif changed:
            logger.warning("the mounted files are back")
