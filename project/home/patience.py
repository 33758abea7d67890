"""Asking a service that may not answer."""

from concurrent.futures import Future
from threading import BoundedSemaphore, Thread

from django.db import connections

_seats = BoundedSemaphore(8)  # a database that hangs would otherwise gather one waiting thread a visitor


def within(seconds, function):
    """What `function()` returns or raises; TimeoutError where that takes longer, or too many are waiting already.

    It runs in a thread of its own, with database connections of its own, which nobody waits for at exit.
    """
    if not _seats.acquire(blocking=False):
        raise TimeoutError("too many are waiting already")
    answer = Future()
    Thread(target=_run, args=(function, answer), daemon=True).start()
    return answer.result(timeout=seconds)


def _run(function, answer):
    try:
        try:
            outcome, value = answer.set_result, function()
        except Exception as error:
            outcome, value = answer.set_exception, error
        connections.close_all()
    finally:
        _seats.release()
    outcome(value)
