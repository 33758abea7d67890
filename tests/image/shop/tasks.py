"""Tasks that log their begin and end."""

import logging
import time

from celery import shared_task
from celery.worker.request import Request

from slipway.celery import app  # noqa: F401  commands send tasks by it

logger = logging.getLogger(__name__)


class Accepted(Request):
    def on_accepted(self, pid, time_accepted):
        """Log that the worker's main process knows of the begin."""
        super().on_accepted(pid, time_accepted)
        logger.info("an order was accepted")


@shared_task(Request=Accepted)
def order(number, seconds=0):
    logger.info("order %s began", number)
    time.sleep(seconds)
    logger.info("order %s ended", number)
