"""Tasks that log their begin and end."""

import logging
import time

from celery import shared_task

from slipway.celery import app  # noqa: F401: commands send tasks by it

logger = logging.getLogger(__name__)


@shared_task
def order(number, seconds=0):
    logger.info("order %s began", number)
    time.sleep(seconds)
    logger.info("order %s ended", number)
