"""Call a function that may hang."""

from collections.abc import Callable
from threading import BoundedSemaphore
from typing import TypeVar

from .. import readiness

T = TypeVar("T")
_seats = BoundedSemaphore(8)  # otherwise, while the database hangs, each visitor would add a waiting thread


def within(seconds: float, function: Callable[[], T]) -> T:
    """Call `function` in a new thread, and return its result or raise its error. Raise TimeoutError after `seconds`, or
    at once if too many calls run. A call that hangs does not delay the process's exit."""
    if not _seats.acquire(blocking=False):
        raise TimeoutError("too many are waiting already")

    def seated() -> T:
        try:
            return function()
        finally:
            _seats.release()

    answer: T = readiness.Attempt(seated).outcome.result(seconds)
    return answer
