"""How many tasks ended how, over all workers: counted in each process, and soon added up in the database, where the
site finds it for /metrics and /debug/vars. What a killed process had not added yet is lost, and no task waits."""

import logging
import threading
import time
from collections import Counter
from typing import Any

from celery import signals
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import F

from ..models import TaskCount

logger = logging.getLogger(__name__)

EVERY = 5  # seconds at most from a task's end until it shows
LAST = 2  # seconds that a process gives to it at its end

_lock = threading.Lock()
_ended: Counter[tuple[str, str]] = Counter()
_seconds: dict[tuple[str, str], float] = {}
_timer: threading.Timer | None = None


@signals.task_prerun.connect
def begin(task: Any, **_: Any) -> None:
    """A task begins."""
    task.request.begun = time.monotonic()


@signals.task_postrun.connect
def end(task: Any, state: str | None = None, **_: Any) -> None:
    """Note one, and see to it that it is added up."""
    global _timer
    if task.request.is_eager:
        return
    key = (task.name, (state or "ended").lower())
    with _lock:
        _ended[key] += 1
        took = time.monotonic() - getattr(task.request, "begun", time.monotonic())
        _seconds[key] = _seconds.get(key, 0.0) + took
        if _timer is None:
            _timer = threading.Timer(EVERY, add)
            _timer.daemon = True
            _timer.start()


def add() -> None:
    """Add to the database what was noted. What it does not take is added with the next."""
    global _timer
    with _lock:
        _timer, ended, seconds = None, dict(_ended), dict(_seconds)
        _ended.clear()
        _seconds.clear()
    try:
        while ended:
            key = next(iter(ended))
            add_one(key, ended[key], seconds[key])
            del ended[key]
    except (DatabaseError, InterfaceError) as error:
        logger.warning("the figures of %d tasks are not written yet: %s", sum(ended.values()), type(error).__name__)
        with _lock:
            _ended.update(ended)
            for key in ended:
                _seconds[key] = _seconds.get(key, 0.0) + seconds[key]
    finally:
        connections.close_all()  # this thread's own


def add_one(key: tuple[str, str], count: int, seconds: float) -> None:
    """Add to a row, which is made where there is none."""
    row = TaskCount.objects.filter(task=key[0][:255], state=key[1])
    if not row.update(count=F("count") + count, seconds=F("seconds") + seconds):
        TaskCount.objects.get_or_create(task=key[0][:255], state=key[1])
        row.update(count=F("count") + count, seconds=F("seconds") + seconds)


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def finish(**_: Any) -> None:
    """A worker ends: add what is left."""
    if _ended:
        thread = threading.Thread(target=add, daemon=True)
        thread.start()
        thread.join(LAST)


def counts() -> dict[str, Any]:
    """{"tasks": {task: {state: {"count": …, "seconds": …}}}}. Raises DatabaseError."""
    found: dict[str, Any] = {}
    for task, state, count, seconds in TaskCount.objects.order_by("task", "state").values_list(
            "task", "state", "count", "seconds"):
        found.setdefault(task, {})[state] = {"count": count, "seconds": round(seconds, 3)}
    return {"tasks": found}
