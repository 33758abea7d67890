"""Counts how tasks end, in the worker's main process, and adds the counts to the database once a minute: no task writes
or waits for that. Names come from the code's tasks, never from a message."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from celery import Celery, signals
from celery.exceptions import Ignore, Reject, Retry, Terminated
from celery.worker.request import Request as BaseRequest
from django.db import DatabaseError, InterfaceError, connections

from ..health import counts
from ..health.time_limit import within

logger = logging.getLogger(__name__)

EVERY = 60  # seconds
_found: counts.Found = {}
_lock = threading.Lock()


class Request(BaseRequest):
    """Celery calls these methods in the main process when the pool reports how a task ended."""

    def __init_subclass__(cls) -> None:
        """Extend on_success of the classes that Celery derives from this one, which do not call ours."""
        cls.on_success = with_count(cls.on_success)  # type: ignore[method-assign]

    def on_retry(self, exc_info: Any) -> Any:
        count(self, "retried")
        return super().on_retry(exc_info)

    def on_failure(self, exc_info: Any, *args: Any, **more: Any) -> Any:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if not isinstance(error, (Retry, Ignore, Reject, Terminated)):
            count(self, "failed")
        return super().on_failure(exc_info, *args, **more)


def with_count(on_success: Callable[..., Any]) -> Callable[..., Any]:
    def counted(self: Request, result: Any, **more: Any) -> Any:
        """Call on_success, which also gets each error of a task. Then it calls on_failure."""
        if not result[0]:
            count(self, "succeeded")
        return on_success(self, result, **more)
    return counted


def count(request: Any, state: str) -> None:
    seconds = max(0, time.time() - (request.time_start or time.time()))
    gather({(request.task.name[:255], state): (1, seconds)})


def gather(more: counts.Found) -> None:
    with _lock:
        for key, (number, seconds) in more.items():
            before = _found.get(key, (0, 0))
            _found[key] = before[0] + number, before[1] + seconds


def begin(app: Celery) -> None:
    """Count from now on. A task's first failure shows as a change, because its row begins with 0."""
    gather({(name[:255], state): (0, 0.0) for name in app.tasks if not name.startswith("celery.")
            for state in ("succeeded", "failed")})
    threading.Thread(target=store_often, name="counts", daemon=True).start()


def store_often() -> NoReturn:
    while True:
        store()
        time.sleep(EVERY)


def store() -> None:
    """Add to the database what was counted since the last call. If that fails, the next call tries again."""
    with _lock:
        found = {**_found}
        _found.clear()
    if not found:
        return
    try:
        counts.add(counts.TASK, found)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("cannot store the counts of tasks: %s", type(error).__name__)
        gather(found)
    finally:
        connections.close_all()


@signals.worker_shutdown.connect
def store_at_last(**_: Any) -> None:
    with suppress(TimeoutError):  # the database may hang
        within(5, store)
