"""Counts how tasks end, in the worker's main process, and adds the counts to the database once a minute: no task writes
or waits for that. Names come from the code's tasks, never from a message."""

import logging
import threading
import time
from collections import deque
from typing import Any

from celery import signals
from celery.worker.request import Request as BaseRequest
from django.db import DatabaseError, InterfaceError, connections

from ..health import counts

logger = logging.getLogger(__name__)

ENDS = {"task-succeeded": "succeeded", "task-failed": "failed", "task-retried": "retried"}  # Celery's events
_ended: deque[counts.Ended] = deque(maxlen=100_000)  # not stored yet; the limit is for a database that is away


class Request(BaseRequest):
    """Celery calls send_event in the main process when the pool reports how a task ended, even if no event is sent."""

    ended = False

    def __init_subclass__(cls) -> None:
        cls.on_success = BaseRequest.on_success  # type: ignore[method-assign]  # Celery's subclasses tell no success

    def send_event(self, type: str, **fields: Any) -> None:
        if type in ENDS and not self.ended:  # a task that exceeds its hard time limit fails twice
            self.ended = True
            now = time.time()
            _ended.append((f"{self.task.name} {ENDS[type]}", 1, max(0, now - (self.time_start or now)), now))
        super().send_event(type, **fields)


def store_often() -> None:
    store()
    while not _over.wait(60):
        store()
    store()


def store() -> None:
    """Add to the database what was counted since the last call. If that fails, the next call tries again."""
    ended = [_ended.popleft() for _ in range(len(_ended))]
    try:
        counts.add("tasks", ended)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("cannot store the counts of tasks: %s", type(error).__name__)
        _ended.extend(ended)
    finally:
        connections.close_all()


_over = threading.Event()
_thread = threading.Thread(target=store_often, name="counts", daemon=True)


@signals.worker_ready.connect
def begin(sender: Any, **_: Any) -> None:
    """Count from now on. A task's first failure shows as a change, because its count begins with 0."""
    _ended.extend((f"{name} failed", 0, 0, 0) for name in sender.app.tasks if not name.startswith("celery."))
    _thread.start()


@signals.worker_shutdown.connect
def end(**_: Any) -> None:
    _over.set()
    if _thread.ident:
        _thread.join(5)  # the database may hang
