from collections.abc import Callable
from concurrent.futures import Future
from threading import BoundedSemaphore, Thread
from typing import TypeVar

from django.db import connections

T = TypeVar("T")
_seats = BoundedSemaphore(8)  # otherwise, while the database hangs, each visitor would add a waiting thread


def within(seconds: float, function: Callable[[], T]) -> T:
    """Call `function` in a new thread, and return its result or raise its error. Raise TimeoutError after `seconds`, or
    at once if too many calls run. A call that hangs does not delay the process's exit."""
    if not _seats.acquire(blocking=False):
        raise TimeoutError("too many are waiting already")
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(function())
        except Exception as error:
            answer.set_exception(error)
        finally:
            connections.close_all()
            _seats.release()

    Thread(target=run, daemon=True).start()
    return answer.result(timeout=seconds)
