"""What all of the project's Celery tasks share."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, TypeVar

from celery import Task as CeleryTask
from celery import signals
from celery.exceptions import MaxRetriesExceededError, Reject
from django.db import InterfaceError, connections
from django.db import OperationalError as DatabaseOperationalError
from kombu import Connection, Producer
from kombu.exceptions import OperationalError

from ..health.healthcheck import alive
from ..web.breaker import SLOW, Breaker
from . import deliveries

T = TypeVar("T")

breaker = Breaker("broker")

OUTAGES = "outages"  # the header that says how often a task met a database that was away
LONGEST = 60  # seconds until such a task is tried again
DUE = "due"  # the header with the time of a task that is put off for longer than a worker may keep its message


class Task(CeleryTask):  # type: ignore[type-arg]  # it is no generic at run time
    """A task that may be put off for as long as you like, and that neither a retry nor an outage loses."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's own. A task that loses the database is sent again, later each time, which is no retry of its own:
        `max_retries` does not count it."""
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        try:
            return self.run(*args, **kwargs)
        except (DatabaseOperationalError, InterfaceError) as error:
            if self.request.is_eager or not is_away():
                raise
            met = self.request.get(OUTAGES, 0)
            self.request.retries -= 1
            raise self.retry(exc=error, countdown=min(2 ** met, LONGEST),
                             headers={**(self.request.headers or {}), OUTAGES: met + 1})

    def apply_async(self, args: Any = None, kwargs: Any = None, task_id: Any = None, producer: Any = None,
                    link: Any = None, link_error: Any = None, shadow: Any = None, **options: Any) -> Any:
        """Celery's own. A broker gives a message that a worker keeps for too long to the next one, and the next: a
        task that is due later than that bears its time in a header, and each worker keeps it for a part of the way."""
        seconds = ahead(options.get("countdown"), options.get("eta"))
        headers = {name: value for name, value in (options.get("headers") or {}).items()
                   if name not in (DUE, "deliveries", "unknown")}  # those of the message before
        if seconds > deliveries.hold(self.app):
            headers[DUE] = (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()
            options.update(countdown=None, eta=None)
        send = partial(super().apply_async, args, kwargs, task_id, link=link, link_error=link_error, shadow=shadow,
                       **{**options, "headers": headers or None})
        patient = self.app.conf.task_publish_retry or self.app.conf.task_always_eager
        return send(producer=producer) if patient else in_haste(send, producer, self.app.connection_for_write)

    def retry(self, *args: Any, **options: Any) -> Any:
        """Celery's own, less two faults: where the broker takes no message it would drop the task, and where the last
        retry is over it tells the arguments."""
        try:
            return super().retry(*args, **options)
        except Reject as error:
            raise Reject(getattr(error, "reason"), requeue=True) from error
        except MaxRetriesExceededError:
            raise self.MaxRetriesExceededError(
                f"{self.name}[{self.request.id}] was tried {self.request.retries + 1} times") from None


def in_haste(send: Callable[..., T], producer: Producer | None, connect: Callable[[], Connection]) -> T:
    """Send from a request: no second attempt but after what failed at once, as a connection does whose broker has been
    restarted, and none at all while the broker hangs. The second has a connection of its own: those that are kept may
    all have ended. A caller's own producer has one attempt."""
    with breaker.attempt():
        began = time.monotonic()
        try:
            return send(producer=producer)
        except OperationalError:
            if producer or time.monotonic() - began > SLOW:
                raise
        with connect() as connection:
            return send(producer=Producer(connection))


def is_away() -> bool:
    """Whether a connection to a database has ended, or could not be made. What the database itself refuses or breaks
    off, such as a long statement, leaves it as it was."""
    return any(found.errors_occurred and (found.connection is None or not found.is_usable())
               for found in connections.all(initialized_only=True))


def ahead(countdown: float | None, eta: datetime | str | None) -> float:
    """How many seconds from now a task is put off."""
    if isinstance(eta, str):
        eta = datetime.fromisoformat(eta)
    if eta is not None:
        return (eta - datetime.now(eta.tzinfo or timezone.utc).replace(tzinfo=eta.tzinfo)).total_seconds()
    return countdown or 0


@signals.heartbeat_sent.connect
def worker_is_alive(**_: Any) -> None:
    """The worker's own heartbeat, every 2 s while it has a broker."""
    alive()
