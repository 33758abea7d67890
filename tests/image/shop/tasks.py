"""Tasks that say in the log when they begin and end."""

import logging
import time

from celery import shared_task
from django.conf import settings

from slipway.celery import app

logger = logging.getLogger(__name__)


@shared_task
def order(number, seconds=0):
    logger.info("order %s began", number)
    time.sleep(seconds)
    logger.info("order %s ended", number)


if settings.SHOP_EVERY:
    app.conf.beat_schedule["shop"] = {"task": order.name, "schedule": settings.SHOP_EVERY, "args": ["from beat"]}
