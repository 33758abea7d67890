"""The heartbeat task. Write your own tasks in your apps' tasks.py."""

import logging
from typing import Any

from celery import signals
from kombu.exceptions import OperationalError

from .celery import app
from .health.heartbeat import beat
from .jobs.beat import delaying_signals

logger = logging.getLogger(__name__)


@app.task(ignore_result=True)
def heartbeat() -> None:
    beat("worker")


@signals.beat_init.connect
def first_heartbeat(**_: Any) -> None:
    """Send the task `heartbeat` when beat starts. Whenever this task is sent, record that beat is alive."""
    signals.after_task_publish.connect(beat_is_alive, sender=heartbeat.name)
    try:
        with delaying_signals():
            heartbeat.apply_async(expires=60)
    except (OSError, OperationalError) as error:
        logger.warning("beat cannot send its first heartbeat: %s", type(error).__name__)


def beat_is_alive(**_: Any) -> None:
    beat("beat")
