"""Deletes, once a day, the files that nobody refers to any more."""

import logging

from celery import shared_task

from ..celery import app
from .sweep import sweep

logger = logging.getLogger(__name__)


@shared_task(name="slipway.blobs.tasks.sweep_files", ignore_result=True)  # as beat of a release before may send it
def sweep_files() -> None:
    """Says how many."""
    count = sum(1 for _ in sweep())
    logger.info("files that nobody refers to any more: %d deleted", count)


app.conf.beat_schedule["sweep_files"] = {"task": sweep_files.name, "schedule": 24 * 60 * 60,
                                         "options": {"expire_seconds": 60 * 60}}
