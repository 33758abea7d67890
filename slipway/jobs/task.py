"""The base class of tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from celery import Task as CeleryTask
from celery import signals
from celery.exceptions import MaxRetriesExceededError, Reject, Retry
from django.db import InterfaceError, connections
from django.db import OperationalError as DatabaseOperationalError
from kombu import Connection, Producer
from kombu.exceptions import OperationalError

from ..health.healthcheck import note_alive
from ..web.breaker import SLOW, Breaker
from . import deliveries

T = TypeVar("T")

breaker = Breaker("broker")

OUTAGES = "outages"  # header: how often the task met a database outage
LONGEST = 60  # longest delay in seconds before the next attempt
DUE = "due"  # header: the task's due time, if its delay is longer than deliveries.seconds_to_keep()


class Task(CeleryTask):  # type: ignore[type-arg]  # not generic at run time
    """The base class of tasks. Tasks survive long delays, retries and database outages."""

    Request = "slipway.jobs.counts:Request"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task. If a worker loses the database connection, retry the task after 1, 2, 4 … LONGEST seconds.
        `max_retries` does not count these attempts."""
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)
        try:
            return self.run(*args, **kwargs)
        except (DatabaseOperationalError, InterfaceError) as error:
            if self.request.is_eager or not is_database_away():
                raise
            met = self.request.get(OUTAGES, 0)
            self.request.retries -= 1
            raise self.retry(
                exc=error, countdown=min(2**met, LONGEST), headers={**(self.request.headers or {}), OUTAGES: met + 1}
            ) from error

    def apply_async(self, *args: Any, producer: Any = None, **options: Any) -> Any:
        """Send the task as Celery does. A broker redelivers a message that a worker keeps too long. So a task with a
        long delay gets a header (DUE) with its due time. Workers requeue its message regularly until then."""
        seconds = seconds_ahead(options.get("countdown"), options.get("eta"))
        headers = {
            name: value
            for name, value in (options.get("headers") or {}).items()
            if name not in (DUE, "deliveries", "unknown")
        }  # these headers describe the task's previous message
        if seconds > deliveries.seconds_to_keep(self.app):
            headers[DUE] = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
            options.update(countdown=None, eta=None)
        send: Callable[..., Any] = partial(super().apply_async, *args, **{**options, "headers": headers or None})
        patient = self.app.conf.task_publish_retry or self.app.conf.task_always_eager
        return send(producer=producer) if patient else send_quickly(send, producer, self.app.connection_for_write)

    def apply(self, *args: Any, **options: Any) -> Any:
        """Run the task at once. Where callers see its exceptions, as in tests, a retry is none: run it at once, too."""
        try:
            return super().apply(*args, **options)
        except Retry as retry:
            again = getattr(retry, "sig", None)
            if again is None:
                raise
        return again.apply(throw=options.get("throw"))

    def retry(self, *args: Any, **options: Any) -> Any:
        """Retry as Celery does. If sending fails, the broker redelivers the message. Errors show no task arguments."""
        try:
            return super().retry(*args, **options)
        except Reject as error:
            raise Reject(error.reason, requeue=True) from error  # type: ignore[attr-defined]  # celery-types lacks it
        except MaxRetriesExceededError:
            raise self.MaxRetriesExceededError(
                f"{self.name}[{self.request.id}] was tried {self.request.retries + 1} times"
            ) from None


def send_quickly(send: Callable[..., T], producer: Producer | None, connect: Callable[[], Connection]) -> T:
    """Call `send` while a visitor waits. If `send` fails quickly, retry once on a new connection, because a restart of
    the broker breaks the pool's connections. Do not retry if the caller gave a `producer`."""
    with breaker.attempt():
        began = time.monotonic()
        try:
            return send(producer=producer)
        except OperationalError:
            if producer or time.monotonic() - began > SLOW:
                raise
        with connect() as connection:
            return send(producer=Producer(connection))


def is_database_away() -> bool:
    """Return True if a database connection was lost or could not be opened. A statement timeout does not count."""
    return any(
        database.errors_occurred and (database.connection is None or not database.is_usable())
        for database in connections.all(initialized_only=True)
    )


def seconds_ahead(countdown: float | None, eta: datetime | str | None) -> float:
    if isinstance(eta, str):
        eta = datetime.fromisoformat(eta)
    if eta is not None:
        return (eta - datetime.now(eta.tzinfo or UTC).replace(tzinfo=eta.tzinfo)).total_seconds()
    return countdown or 0


@signals.heartbeat_sent.connect
def worker_is_alive(**_: Any) -> None:
    note_alive()
