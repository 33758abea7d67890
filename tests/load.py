"""Visitors who repeat requests, each in its own thread, and the outcome of each request."""

import contextlib
import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass

from connect import connection_to


@dataclass
class Asked:
    """One request. `outcome`: the status as text, "refused" (no connection) or "dropped" (a connection, but no complete
    answer). `began` and `ended`: seconds of time.monotonic()."""

    number: int
    outcome: str
    began: float
    ended: float
    error: str = ""


def ask(where, path, number, timeout):
    """Send one request over a new connection, to a loopback port or the path of a unix socket. Return an Asked."""
    connection = connection_to(where, timeout)
    began, outcome, error = time.monotonic(), "refused", ""
    with contextlib.closing(connection):
        try:
            connection.connect()
            outcome = "dropped"
            connection.request("GET", path.format(n=number))
            answer = connection.getresponse()
            answer.read()
            outcome = str(answer.status)
        except (OSError, http.client.HTTPException) as failed:
            error = repr(failed)
    return Asked(number, outcome, began, time.monotonic(), error)


class Load:
    """In the block, `visitors` threads repeat requests for the path; `{n}` in it becomes the request's number. Then
    `asked` contains all requests."""

    def __init__(self, where, path, visitors=4, pause=0.0, timeout=60):
        self.arguments, self.pause, self.timeout = (where, path), pause, timeout
        self.asked, self.stopped = [], threading.Event()
        self.threads = [threading.Thread(target=self.visit, args=(number,), daemon=True) for number in range(visitors)]

    def visit(self, visitor):
        number = visitor
        while not self.stopped.is_set():
            self.asked.append(ask(*self.arguments, number, self.timeout))
            number += len(self.threads)
            self.stopped.wait(self.pause)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join(self.timeout + 10)
        assert not any(thread.is_alive() for thread in self.threads), "a visitor still waits"

    def outcomes(self):
        """Return {outcome: count}."""
        return Counter(asked.outcome for asked in list(self.asked))
