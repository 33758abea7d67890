"""Doing things at the same time, in threads that never keep the process from ending: a host may be silent for ever."""

import threading
from concurrent.futures import Future, wait

SLICE = 0.2  # seconds


def start(function, *words):
    """The Future of a call, made in a thread of its own."""
    future = Future()

    def call():
        try:
            future.set_result(function(*words))
        except BaseException as error:
            future.set_exception(error)
    threading.Thread(target=call, daemon=True).start()
    return future


def outcome(future):
    """What a future returned or raised. Waits in slices: a signal that another thread takes, or that comes just before
    the wait begins, does not wake the main thread, which alone runs the handlers of signals."""
    while not future.done():
        wait([future], SLICE)
    return future.result()


def together(function, items):
    """{item: what the function returned for it}, called for all at once. Raises what one raised."""
    futures = {item: start(function, item) for item in items}
    return {item: outcome(future) for item, future in futures.items()}
