"""The Celery beat scheduler. With PostgreSQL, only one of the image's beats has the lock and sends tasks.

PostgreSQL releases the lock when that beat's connection ends. The next beat that asks for the lock gets it.
"""

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from ..celery import prepare_database
from ..health.healthcheck import note_alive

logger = logging.getLogger(__name__)

FROM_CODE = "Set in the code. Beat resets changes made here when it starts."
HEARTBEAT: dict[str, Any] = {
    "task": "slipway.tasks.heartbeat",
    "schedule": 60,
    "options": {"expire_seconds": 60},
}  # otherwise heartbeats would pile up while no worker runs
# If beat's host is lost, PostgreSQL frees its lock after about a minute; without these settings often after two hours.
SETTINGS = ("SET tcp_keepalives_idle = 30", "SET tcp_keepalives_interval = 10", "SET tcp_keepalives_count = 3")


class Lock:
    """PostgreSQL's lock by which only one beat sends tasks."""

    def __init__(self) -> None:
        self.connection: Any = None  # a copy of Django's connection
        self.held: bool = False

    def hold(self) -> bool:
        """Take the lock if it is free; return True if this process has it. Raise DatabaseError if PostgreSQL fails."""
        if self.held:
            return bool(self.ask("SELECT 1") == 1)
        if self.connection is None:
            self.connection = connection.copy()
            for setting in SETTINGS:
                self.ask(setting)
        self.held = self.ask("SELECT pg_try_advisory_lock(hashtext('beat'))")
        return self.held

    def ask(self, sql: str) -> Any:
        """Run `sql`; return its first value or None. An error closes the connection, which releases the lock."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchone()[0] if cursor.description else None
        except Exception:
            self.connection.close()
            self.connection = None
            self.held = False
            raise


class Scheduler(DatabaseScheduler):
    """Extends django-celery-beat's scheduler. It deletes entries with the description FROM_CODE that the code no longer
    has. It survives database outages. TERM and INT do not stop it while it sends tasks."""

    loaded = False
    read = False
    lock = Lock()
    waiting = False

    def setup_schedule(self) -> None:
        prepare_database()  # tick() loads the schedule, because tick() survives a database outage

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send a task that is due, unless another beat has the lock. Return the seconds to sleep."""
        note_alive()
        try:
            if os.environ.get("ROLE") and connection.vendor == "postgresql" and not self.may_send():
                return 5.0
            with delaying_signals():
                if not self.loaded:
                    self.load()
                seconds: float = super().tick(*args, **kwargs)
                return seconds
        except (DatabaseError, InterfaceError) as error:
            logger.error("beat: the database does not answer, trying again in 5 s: %s", type(error).__name__)
            return 5.0

    def all_as_schedule(self) -> dict[str, Any]:
        schedule: dict[str, Any] = super().all_as_schedule()
        self.read = True
        return schedule

    def schedule_changed(self) -> bool:
        """Return True also until a read has succeeded: the next tick repeats a first read that failed."""
        return bool(super().schedule_changed()) or not self.read

    def load(self) -> None:
        entries = self.app.conf.beat_schedule
        if getattr(settings, "READINESS_BEAT", {}):  # otherwise no check needs it
            options = {**HEARTBEAT["options"], **heartbeat_queue(self.app)}
            entries.setdefault("heartbeat", {**HEARTBEAT, "options": options})
        for entry in entries.values():
            entry.setdefault("description", FROM_CODE)
        PeriodicTask.objects.filter(description=FROM_CODE).exclude(name__in=entries).delete()
        super().setup_schedule()
        # The interval of an entry that never ran begins when the entry was last saved, and each start of beat saves all
        # entries. An entry that is due less often than beat starts would never run. So set last_run_at, once.
        PeriodicTask.objects.filter(description=FROM_CODE, last_run_at=None).update(last_run_at=timezone.now())
        self.loaded = True

    def may_send(self) -> bool:
        held = self.lock.hold()
        if not held and not self.waiting:
            logger.warning("beat: another beat is running, waiting until it ends")
        self.waiting = not held
        return held


def heartbeat_queue(app: Any) -> dict[str, str]:
    """Return the option that sends the heartbeat to a queue of the worker's, if a project's own app would send it to
    another one."""
    queues = [*app.amqp.queues.consume_from]
    queue = app.amqp.router.route({}, HEARTBEAT["task"]).get("queue")
    return {"queue": queues[0]} if queues and getattr(queue, "name", queue) not in queues else {}


@contextlib.contextmanager
def delaying_signals() -> Iterator[None]:
    """Delay TERM and INT until the block ends. Otherwise Celery would exit at once, even during a query. It could
    record a task as sent and never send it."""
    came: list[int] = []
    before = {
        ending: signal.signal(ending, lambda number, frame: came.append(number))
        for ending in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for ending in came[:1]:
            signal.raise_signal(ending)
