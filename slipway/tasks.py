"""The heartbeat task. Write your own tasks in your apps' tasks.py."""

import logging
from typing import Any

from celery import shared_task, signals
from kombu.exceptions import OperationalError

from .health.heartbeat import beat

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)  # of any app, also of a project's own
def heartbeat() -> None:
    beat("worker")


@signals.beat_init.connect
def first_heartbeat(**_: Any) -> None:
    """Send the task `heartbeat` when beat starts. Whenever this task is sent, record that beat is alive."""
    from .jobs.beat import delaying_signals, heartbeat_queue  # not at the top: other processes need no beat

    signals.after_task_publish.connect(beat_is_alive, sender=heartbeat.name)
    try:
        with delaying_signals():
            options: dict[str, Any] = heartbeat_queue(heartbeat.app)
            heartbeat.apply_async(expires=60, **options)
    except (OSError, OperationalError) as error:
        logger.warning("beat cannot send its first heartbeat: %s", type(error).__name__)


def beat_is_alive(**_: Any) -> None:
    beat("beat")
