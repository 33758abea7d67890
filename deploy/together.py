"""Doing things at the same time, in threads that never keep the process from ending: a host may be silent for ever."""

import threading
from concurrent.futures import Future


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


def together(function, items):
    """{item: what the function returned for it}, called for all at once. Raises what one raised."""
    futures = {item: start(function, item) for item in items}
    return {item: future.result() for item, future in futures.items()}
