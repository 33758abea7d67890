"""Password hashers that use little memory and few threads, even if many visitors sign in at once."""

import contextlib
import threading
from collections.abc import Iterator

from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher

SEATS = 2  # passwords hashed at a time per process: other threads stay free
_seats = threading.BoundedSemaphore(SEATS)


class TooMany(Exception):
    """Too many passwords are being hashed; middleware.TooMany answers 429."""


class Argon2(Argon2PasswordHasher):
    """Argon2 with OWASP's parameters, which need 19 MB instead of Django's 100. Hashes with other parameters stay valid
    and are replaced at the next sign-in."""

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with seat():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with seat():
            return super().verify(password, encoded)


class PBKDF2(PBKDF2PasswordHasher):
    """PBKDF2 for imported accounts. verify() calls encode(), so the limit SEATS holds for both."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with seat():
            return super().encode(password, salt, iterations)


@contextlib.contextmanager
def seat() -> Iterator[None]:
    """Let only SEATS threads hash passwords at once. Raise TooMany in others: a waiting thread would serve nobody."""
    if not _seats.acquire(blocking=False):
        raise TooMany
    try:
        yield
    finally:
        _seats.release()
