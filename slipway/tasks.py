"""The heartbeat. Your own tasks go into your apps' tasks.py: see docs/tasks.md."""

import logging
from typing import Any

from celery import signals

from .celery import app
from .heartbeat import beat
from .jobs.beat import HEARTBEAT, unbroken

logger = logging.getLogger(__name__)


@app.task(ignore_result=True)
def heartbeat() -> None:
    """Shows that the worker works."""
    beat("worker")


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
    beat("beat")
