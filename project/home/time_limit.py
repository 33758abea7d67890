"""Asking a service that may not answer."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import BoundedSemaphore, Thread
from typing import TypeVar

from django.db import connections

T = TypeVar("T")
_seats = BoundedSemaphore(8)  # a database that hangs would otherwise gather one waiting thread a visitor


def within(seconds: float, function: Callable[[], T]) -> T:
    """What `function()` returns or raises; TimeoutError where that takes longer, or too many are waiting already.

    It runs in a thread of its own, with database connections of its own, which nobody waits for at exit.
    """
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
