"""Calls of a file system that may hang: each ends within a time, and few hang at once."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from slipway.web.breaker import Breaker, Hangs

SECONDS = 2.0  # timeout of a call
MOST = 8  # calls per process that may run or hang at once
PLACES = 3  # requests per process at once: fewer than gunicorn's threads
PATIENCE = 0.25  # seconds that a request waits for a place, unless a call has already run longer: then 0

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Away(Exception):
    """The file system is not mounted, or fails."""


class Late(Away):
    """A call timed out, or too many calls hang."""


class Mount:
    """The mounted file system, with a breaker, and a limit for calls that hang."""

    def __init__(self) -> None:
        self.breaker, self.lock, self.away = Breaker("file system", SECONDS), threading.Lock(), False
        self.calls: dict[Future[Any], float] = {}  # running call → time of its start
        self.places = threading.BoundedSemaphore(PLACES)

    def take_place(self) -> bool:
        """Reserve one of PLACES places. Return False if none becomes free soon. `places.release()` frees one."""
        with self.lock:
            hangs = any(time.monotonic() - since > PATIENCE for since in self.calls.values())
        return self.places.acquire(timeout=0 if hangs else PATIENCE)

    def call(self, function: Callable[[], Result]) -> Result:
        """Return the function's result, or raise its error. Raise Away if calls hang. Log outages and recoveries."""
        try:
            with self.breaker.attempt():
                result = self.in_time(function)
        except Hangs as error:  # an earlier call hung, and is noted
            raise Away(str(error)) from None
        except Exception as error:
            self.note(error if isinstance(error, Away) else None)
            raise
        self.note(None)
        return result

    def in_time(self, function: Callable[[], Result], seconds: float = SECONDS) -> Result:
        """Call the function in a thread. Raise Late after `seconds`, or at once if too many calls hang."""
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
        with self.lock:
            changed, self.away = self.away != (error is not None), error is not None
        if changed and error:
            logger.error("the mounted files are unavailable: %s", error)
        elif changed:
            logger.warning("the mounted files are available again")
