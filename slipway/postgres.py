"""psycopg2's connection for the site, which holds no request when PostgreSQL hangs.

PostgreSQL itself ends what takes too long (values.timeouts); but one that hangs ends nothing, and libpq waits for an
answer for ever. So while somebody waits for longer than SLOW, a thread asks the server something small over a new
connection. As long as it answers, and be it with a refusal, statements may take their time; if not, all who wait are
cut off.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NoReturn

import psycopg2
from psycopg2 import extensions

from .breaker import REST, Breaker

SLOW = 1  # second that somebody waits before the server is asked, and until it is asked again
ANSWER = 3  # seconds it has to answer, as many as for a visitor's own connection
LOOK = 0.25  # seconds between two looks at who waits

_servers: dict[str, Server] = {}
_lock = threading.Lock()
os.register_at_fork(after_in_child=_servers.clear)  # their threads are not there


class Hangs(psycopg2.OperationalError):
    """It let somebody wait just now."""


class Wait:
    """Somebody who waits for an answer over a connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.began, self.cut = connection, time.monotonic(), False


class Server(Breaker):
    """A PostgreSQL, and who waits for it."""

    hangs = Hangs

    def __init__(self, dsn: str) -> None:
        super().__init__("database")
        self.dsn = dsn
        self.waits: set[Wait] = set()
        threading.Thread(target=self.watch, name="postgres", daemon=True).start()

    def in_vain(self, error: Exception, seconds: float) -> bool:
        """Whether it was cut off."""
        return isinstance(error, Hangs)

    @contextlib.contextmanager
    def waiting(self, connection: Connection) -> Iterator[None]:
        """Around what waits for an answer; Hangs where it was cut off."""
        wait = Wait(connection)
        with self.lock:
            self.waits.add(wait)
        try:
            yield
        except psycopg2.Error as error:
            if wait.cut:
                raise Hangs("the database does not answer") from error
            raise
        finally:
            with self.lock:
                self.waits.discard(wait)

    def watch(self) -> NoReturn:
        """Look at who waits, for ever."""
        while True:
            late = self.longest() > SLOW
            if late and not self.answers():
                self.cut_off()
            time.sleep(SLOW if late else LOOK)

    def longest(self) -> float:
        """Seconds that somebody has been waiting."""
        with self.lock:
            return time.monotonic() - min((wait.began for wait in self.waits), default=time.monotonic())

    def answers(self) -> bool:
        """Whether a new connection is answered."""
        began = time.monotonic()
        try:
            with contextlib.closing(psycopg2.connect(self.dsn, connect_timeout=ANSWER)) as connection:
                limit = threading.Timer(ANSWER, shut, [connection])
                limit.start()
                try:
                    ask(connection)
                finally:
                    limit.cancel()
            return True
        except (psycopg2.Error, RuntimeError):  # a refusal, or no thread to be had: that is told at once
            return time.monotonic() - began < ANSWER - 1  # libpq may count whole seconds

    def cut_off(self) -> None:
        """All who wait now, while none of them can leave and close what is shut here."""
        with self.lock:
            self.until = time.monotonic() + REST
            for wait in self.waits:
                wait.cut = True
                shut(wait.connection)


def ask(connection: extensions.connection) -> None:
    """Something small, of the server itself: a pooler before it takes connections too."""
    connection.autocommit = True
    connection.cursor().execute("SELECT 1")
    connection.autocommit = False


def shut(connection: extensions.connection) -> None:
    """Whoever waits for it has an error at once."""
    with contextlib.suppress(psycopg2.Error, OSError):
        with socket.socket(fileno=os.dup(connection.fileno())) as sock:
            sock.shutdown(socket.SHUT_RDWR)


def server(dsn: str) -> Server:
    """The one of that address, in all of this process."""
    with _lock:
        if dsn not in _servers:
            _servers[dsn] = Server(dsn)
        return _servers[dsn]


class Connection(extensions.connection):
    """psycopg2's, which waits no longer than its server answers."""

    def __init__(self, dsn: str, *args: Any, **options: Any) -> None:
        self.server, began = server(dsn), time.monotonic()
        with self.server.attempt() as tries:
            try:
                super().__init__(dsn, *args, **options)
            except psycopg2.OperationalError as error:
                if time.monotonic() - began < SLOW:  # a refusal
                    raise
                raise Hangs(f"{error}".strip()) from error
            if tries:
                with self.server.waiting(self):
                    ask(self)

    def commit(self) -> None:
        """psycopg2's. Raises Hangs."""
        with self.server.waiting(self):
            super().commit()

    def rollback(self) -> None:
        """psycopg2's. Raises Hangs."""
        with self.server.waiting(self):
            super().rollback()


def waits(name: str, asks: bool = True) -> Callable[..., Any]:
    """psycopg2's method of that name, of a cursor whose connection is one of ours. `asks`: it needs an answer, whereas
    others may have it already."""
    method = getattr(extensions.cursor, name)

    @wraps(method)
    def patient(self: Any, *args: Any, **options: Any) -> Any:
        found, its = self.connection.server, self.connection
        with found.attempt(lambda: its.closed) if asks else contextlib.nullcontext(), found.waiting(its):
            return method(self, *args, **options)
    return patient


class Cursor(extensions.cursor):
    """Django takes psycopg2's own, if it is given no other."""


for name in ("execute", "executemany", "callproc", "copy_from", "copy_to", "copy_expert"):
    setattr(Cursor, name, waits(name))
for name in ("fetchone", "fetchmany", "fetchall", "scroll", "close", "__next__"):
    setattr(Cursor, name, waits(name, asks=False))
