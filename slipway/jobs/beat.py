"""The scheduler. In the image it works only while it holds a lock in the database, so that never two send.

Postgres only; SQLite has no such lock, and no second machine either. The lock goes with its connection: when that is
lost, this beat does nothing until it has the lock again, and another may have it by then.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from ..celery import prepare_database
from ..health.healthcheck import alive

logger = logging.getLogger(__name__)

FROM_CODE = "Set in the code: what is changed here is set back when beat starts."
HEARTBEAT = {"task": "slipway.tasks.heartbeat", "schedule": 60,
             "options": {"expire_seconds": 60}}  # no worker: they must not pile up
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


class Scheduler(DatabaseScheduler):
    """django-celery-beat's, which keeps the times of the last runs in the database. Besides: an entry that left the
    code leaves the database (those added in the admin stay), beat outlives a database that is away, and told to end it
    first sends what it has noted as sent. In the image it works only while it holds the lock."""

    loaded, lock, waiting = False, Lock(), False

    def setup_schedule(self) -> None:
        prepare_database()  # the rest in tick, where the database may be away

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, if this is the beat that may. Returns the seconds to sleep."""
        alive()
        if os.environ.get("ROLE") and connection.vendor == "postgresql" and not self.may_send():
            return 5.0
        try:
            with unbroken():
                if not self.loaded:
                    self.load()
                seconds: float = super().tick(*args, **kwargs)
                return seconds
        except (DatabaseError, InterfaceError) as error:
            self.away(error)
            self._initial_read = self._schedule is None  # a first read that failed does not count as one
            return 5.0

    def load(self) -> None:
        """Bring the database's schedule in line with the code's."""
        entries = self.app.conf.beat_schedule
        if settings.READINESS_BEAT:  # else nobody asks for it, and a project's own app may not have the task
            entries.setdefault("heartbeat", HEARTBEAT)
        for entry in entries.values():
            entry.setdefault("description", FROM_CODE)
        PeriodicTask.objects.filter(description=FROM_CODE).exclude(name__in=entries).delete()
        super().setup_schedule()
        # An entry that never ran counts from when it was last saved, which each start of beat does: one restarted more
        # often than the entry is due would never send it.
        PeriodicTask.objects.filter(description=FROM_CODE, last_run_at=None).update(last_run_at=timezone.now())
        self.loaded = True

    def may_send(self) -> bool:
        """Whether this beat holds the lock; the log says so where it does not."""
        try:
            held = self.lock.hold()
        except Exception as error:
            self.away(error)
            return False
        if not held and not self.waiting:
            logger.warning("beat: another one is running, waiting for it to end")
        self.waiting = not held
        return held

    def away(self, error: Exception) -> None:
        logger.error("beat: the database is away, trying again in 5 s: %s", type(error).__name__)


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """TERM and INT wait until the block is through. Celery ends wherever it is: between noting that an entry ran and
    sending it, no beat would send it before its next turn; and in a query it closes the connection that this is on,
    which is a traceback and no end."""
    came: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for ending in (signal.SIGTERM, signal.SIGINT):
            before[ending] = signal.signal(ending, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)
