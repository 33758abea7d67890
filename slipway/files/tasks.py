"""Deletes, once a day, the files that nobody refers to any more."""

import io
import logging

from celery import shared_task
from django.core.management import call_command

from ..celery import app


@shared_task(name="slipway.blobs.tasks.sweep_files", ignore_result=True)  # as beat of a release before may send it
def sweep_files() -> None:
    """Says how many."""
    call_command("sweepfiles", stdout=(named := io.StringIO()))
    logging.getLogger(__name__).info("files that nobody refers to any more: %d deleted", named.getvalue().count("\n"))


app.conf.beat_schedule["sweep_files"] = {"task": sweep_files.name, "schedule": 24 * 60 * 60,
                                         "options": {"expire_seconds": 60 * 60}}
