"""The scheduler of the image's beat: it works only while it holds a lock in the database, so that never two send.

Postgres only; SQLite has no such lock, and no second machine either. The lock goes with its connection: when that is
lost, this beat does nothing until it has the lock again, and another may have it by then.
"""

import logging
from typing import Any

from django.db import connection

from ..health.healthcheck import alive
from ..tasks import Scheduler as BaseScheduler

logger = logging.getLogger(__name__)

# The server gives a vanished client up after about a minute, where its own settings often say two hours.
SETTINGS = ("SET tcp_keepalives_idle = 30", "SET tcp_keepalives_interval = 10", "SET tcp_keepalives_count = 3")


class Lock:
    """An advisory lock of Postgres, on a connection of its own."""

    def __init__(self) -> None:
        self.connection: Any = None  # Django's, of its own
        self.held: bool = False

    def hold(self) -> bool:
        """Whether this process holds the lock, taking it where it is free. Raises DatabaseError."""
        if self.held:
            return bool(self.ask("SELECT 1") == 1)
        if self.connection is None:
            self.connection = connection.copy()
            for setting in SETTINGS:
                self.ask(setting)
        self.held = self.ask("SELECT pg_try_advisory_lock(hashtext('beat'))")
        return self.held

    def ask(self, sql: str) -> Any:
        """The first value of the answer. After an error the connection, and with it the lock, is gone."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchone()[0] if cursor.description else None
        except Exception:
            self.connection.close()
            self.connection, self.held = None, False
            raise


class Scheduler(BaseScheduler):
    """The project's scheduler, under the lock."""

    lock, waiting = Lock(), False

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due if this is the beat that may. Returns the seconds to sleep."""
        alive()
        if connection.vendor == "postgresql" and not self.may_send():
            return 5.0
        seconds: float = super().tick(*args, **kwargs)
        return seconds

    def may_send(self) -> bool:
        """Whether this beat holds the lock; the log says so where it does not."""
        try:
            held = self.lock.hold()
        except Exception as error:
            logger.error("beat: the database is away, trying again in 5 s: %s", type(error).__name__)
            return False
        if not held and not self.waiting:
            logger.warning("beat: another one is running, waiting for it to end")
        self.waiting = not held
        return held
