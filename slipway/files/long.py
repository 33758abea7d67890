"""Answers so long that a slow client makes them last: they hold at most half of a process's threads, so that others are
answered meanwhile. Shorter ones nginx takes off the app at once (slipway/deploy/server/nginx/app.conf)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

from ..env import Env

LONG = 32 * 1024 * 1024  # bytes that nginx takes
threads = Env(os.environ).number("WEB_THREADS", 4, least=1) or 4
places = threading.BoundedSemaphore(max(1, threads // 2))


class Held:
    """The pieces of such an answer, which has a place until it is closed, or nobody knows it any more."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.held = pieces, True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self.pieces)

    def close(self) -> None:
        """Give the place back. Django calls it."""
        if self.held:
            self.held = False
            places.release()

    __del__ = close


def held(pieces: Iterator[bytes], size: int) -> Iterator[bytes] | None:
    """The pieces of so many bytes; None where there is no place for them."""
    if size <= LONG:
        return pieces
    return Held(pieces) if places.acquire(blocking=False) else None
