"""The heartbeat, and the scheduler that sends it. Your own tasks go into your apps' tasks.py: see docs/tasks.md."""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

from celery import signals
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from .celery import app, prepare_database
from .heartbeat import beat

logger = logging.getLogger(__name__)

FROM_CODE = "Set in the code: what is changed here is set back when beat starts."


@app.task(ignore_result=True)
def heartbeat() -> None:
    """Shows that the worker works."""
    beat("worker")


HEARTBEAT = {"task": heartbeat.name, "schedule": 60,
             "options": {"expire_seconds": 60}}  # no worker: they must not pile up
app.conf.beat_schedule["heartbeat"] = HEARTBEAT


@signals.beat_init.connect
def first_heartbeat(**_: Any) -> None:
    """Beat starts: it tells so at once, and from now on each time it could send a heartbeat."""
    signals.after_task_publish.connect(beat_is_alive, sender=heartbeat.name)
    try:
        with unbroken():
            heartbeat.apply_async(expires=60)
    except Exception as error:
        logger.warning("beat could not send its first heartbeat: %s", type(error).__name__)


def beat_is_alive(**_: Any) -> None:
    """A heartbeat was sent."""
    beat("beat")


class Scheduler(DatabaseScheduler):
    """django-celery-beat's, which keeps the times of the last runs in the database. Besides: an entry that left the
    code leaves the database (those added in the admin stay), beat outlives a database that is away, and told to end it
    first sends what it has noted as sent."""

    loaded = False

    def setup_schedule(self) -> None:
        """Beat starts."""
        prepare_database()  # the rest in tick, where the database may be away

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due. Returns the seconds to sleep."""
        try:
            with unbroken():
                if not self.loaded:
                    self.load()
                seconds: float = super().tick(*args, **kwargs)
                return seconds
        except (DatabaseError, InterfaceError) as error:
            logger.error("beat: the database is away, trying again in 5 s: %s", type(error).__name__)
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
