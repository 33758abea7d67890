"""Handles messages that a worker cannot process: none is lost, and none is redelivered forever.

Few brokers count deliveries, so a message is sent again as a copy with a counter in its headers. A message goes
to the queue celery.dead if LIMIT workers were lost while they had it, or if no release knows its task.
"""

import logging
import time
from typing import Any

from celery import Celery
from celery.contrib.migrate import republish
from kombu import Connection, Message, Queue

from ..release import RELEASE

logger = logging.getLogger(__name__)
_link: list[Connection] = []

DEAD = "celery.dead"
MARK = "dead"  # header of a task that was given up: when, and why
LIMIT = 5  # deliveries before a task is given up, if its worker was lost each time
OF_DELIVERY = [
    "application_headers",
    "content_type",
    "content_encoding",
    "headers",
    "delivery_info",
    "delivery_tag",
    "body_encoding",
]  # republish sets these itself, or they belong to one delivery


def seconds_to_keep(app: Celery) -> float:
    """Return how many seconds a worker may keep a message: 900, but at most half of Redis's visibility timeout."""
    return float(min(900, app.conf.broker_transport_options.get("visibility_timeout", 1800) / 2))


def connection(app: Celery) -> Connection:
    """Return a connection from outside Celery's pool: the worker's child processes close the pool's connections."""
    if not (_link and _link[0].connected):
        _link[:] = [app.connection_for_write()]
    return _link[0]


def headers(message: Message) -> dict[str, Any]:
    return message.headers if isinstance(message.headers, dict) else {}


def death_mark(message: Message) -> dict[str, Any]:
    """Return when and why a message was given up; {} if it does not say, as if somebody else put it into the queue."""
    value = headers(message).get(MARK)
    return value if isinstance(value, dict) else {}


def task_name(message: Message) -> str:
    return str(headers(message).get("task") or "(unknown format)")


def replace(app: Celery, message: Message, queue: str | None = None, **added: Any) -> None:
    """Send a copy of `message` to `queue`, by default its former queue, then acknowledge `message`. The copy also gets
    the headers `added`. Raise ConnectionError if the copy cannot be sent."""
    message.headers = {**headers(message), **added}
    message.headers.pop("redelivered", None)
    where = message.delivery_info or {}
    try:
        producer = app.amqp.Producer(connection(app))
        if queue == DEAD:
            Queue(DEAD, channel=connection(app).default_channel).declare()
        exchange: Any = "" if queue else where.get("exchange", "")
        republish(producer, message, exchange, queue or where.get("routing_key"), OF_DELIVERY)
    except Exception as error:
        _link.clear()
        raise ConnectionError(f"cannot send a message: {type(error).__name__}") from error  # makes the worker reconnect
    message.ack()


def send_again(app: Celery, message: Message) -> None:
    """Send a task again because its worker was lost. After LIMIT deliveries, move it to the queue of dead tasks."""
    count = headers(message).get("deliveries", 1) + 1
    if count > LIMIT:
        bury(app, message, f"its worker was lost {LIMIT} times")
        return
    logger.warning(
        "task %s[%s] lost its worker: delivery %d of %d", task_name(message), headers(message).get("id"), count, LIMIT
    )
    replace(app, message, deliveries=count)


def bury(app: Celery, message: Message, why: str) -> None:
    """Move a message to the queue of dead tasks. Log the reason (`why`), but no arguments: they may be secrets."""
    logger.error("task %s[%s] is dead: %s", task_name(message), headers(message).get("id"), why)
    where = (message.delivery_info or {}).get("routing_key", "")
    replace(app, message, DEAD, **{MARK: {"why": why, "queue": where, "at": time.time(), "release": RELEASE}})


def revive(app: Celery, message: Message) -> None:
    """Move a message from the queue of dead tasks to its former queue."""
    queue = death_mark(message).get("queue") or app.conf.task_default_queue
    for header in (MARK, "deliveries", "unknown"):
        headers(message).pop(header, None)
    replace(app, message, queue)
