"""How passwords are kept, without letting those who guess them take all memory and all threads."""

import contextlib
import threading
from collections.abc import Iterator

from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher

SEATS = 2  # passwords that a process works on at a time: its other threads stay for other visitors
_seats = threading.BoundedSemaphore(SEATS)


class TooMany(Exception):
    """More passwords came at once than a process has seats for; middleware.TooMany answers with 429."""


class Argon2(Argon2PasswordHasher):
    """Django's takes 100 MB for each; these are OWASP's figures for as much safety with 19. Passwords hashed before
    stay good, and are hashed anew when their owner next signs in."""

    memory_cost, time_cost, parallelism = 19 * 1024, 2, 1

    def encode(self, password: str, salt: str) -> str:
        with seat():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Whether it is the password. Raises TooMany."""
        with seat():
            return super().verify(password, encoded)


class PBKDF2(PBKDF2PasswordHasher):
    """Django's, for accounts that come from elsewhere; `verify` is one `encode`."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with seat():
            return super().encode(password, salt, iterations)


@contextlib.contextmanager
def seat() -> Iterator[None]:
    """Nobody waits for one: who did would hold a thread. Raises TooMany."""
    if not _seats.acquire(blocking=False):
        raise TooMany
    try:
        yield
    finally:
        _seats.release()
