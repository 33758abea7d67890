from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
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
    Thread(target=_run, args=(function, answer), daemon=True).start()
    return answer.result(timeout=seconds)


def _run(function: Callable[[], T], answer: Future[T]) -> None:
    try:
        try:
            outcome = partial(answer.set_result, function())
        except Exception as error:
            outcome = partial(answer.set_exception, error)
        connections.close_all()
    finally:
        _seats.release()
    outcome()
