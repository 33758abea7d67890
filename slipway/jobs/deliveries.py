"""What becomes of messages that a worker cannot do now, or not at all: none is lost, and none goes round for ever.

A copy with a header more takes the place of the message, as brokers count nothing. What was delivered LIMIT times and
never ended, what no release knows, and what is no task at all is laid down in the queue DEAD: `manage.py dead_tasks`
shows it, and sends it again.
"""

import logging
import time
from typing import Any

from celery import Celery
from celery.contrib.migrate import republish
from django.conf import settings
from kombu import Connection, Message, Queue

logger = logging.getLogger(__name__)
_link: list[Connection] = []

DEAD = "celery.dead"
MARK = "dead"  # the header that says when and why
LIMIT = 5  # deliveries of a task whose worker was lost each time
OF_DELIVERY = ["application_headers", "content_type", "content_encoding", "headers", "delivery_info", "delivery_tag",
               "body_encoding"]  # properties of this delivery alone


def hold(app: Celery) -> float:
    """Seconds that a worker may keep a message at most: well before the broker takes it for lost. RabbitMQ waits half
    an hour, Redis the visibility timeout."""
    return float(min(900, app.conf.broker_transport_options.get("visibility_timeout", 1800) / 2))


def connection(app: Celery) -> Connection:
    """One of our own: those of the app's pool are closed by each process that the worker forks, for the worker too."""
    if not (_link and _link[0].connected):
        _link[:] = [app.connection_for_write()]
    return _link[0]


def dead_queue(channel: Any) -> Queue:
    return Queue(DEAD)(channel)


def headers(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = message.headers or {}
    return found


def name(message: Message) -> str:
    """The task that a message is for."""
    return str(headers(message).get("task") or "of no known form")


def replace(app: Celery, message: Message, queue: str | None = None, **more: Any) -> None:
    """Put a copy with these headers into a queue (its own), and then drop the message. Raises ConnectionError."""
    message.headers = {**headers(message), **more}
    message.headers.pop("redelivered", None)
    where = message.delivery_info or {}
    try:
        producer = app.amqp.Producer(connection(app))
        if queue == DEAD:
            dead_queue(producer.channel).declare()
        exchange: Any = "" if queue else where.get("exchange", "")
        republish(producer, message, exchange, queue or where.get("routing_key"), OF_DELIVERY)
    except Exception as error:  # the worker takes no other for a broken connection
        _link.clear()
        raise ConnectionError(f"no message can be sent: {type(error).__name__}") from error
    message.ack()


def again(app: Celery, message: Message) -> None:
    """One more delivery of a task that somebody had before; or its end."""
    count = headers(message).get("deliveries", 1) + 1
    if count > LIMIT:
        return bury(app, message, f"its worker was lost {LIMIT} times")
    logger.warning("task %s[%s] was not ended where it ran: delivery %d of %d", name(message),
                   headers(message).get("id"), count, LIMIT)
    replace(app, message, deliveries=count)


def bury(app: Celery, message: Message, why: str) -> None:
    """Lay it down in the queue DEAD. Its arguments may be secrets: they are not told."""
    logger.error("task %s[%s] is dead: %s", name(message), headers(message).get("id"), why)
    where = (message.delivery_info or {}).get("routing_key", "")
    replace(app, message, DEAD, **{MARK: {"why": why, "queue": where, "at": time.time(), "release": settings.RELEASE}})


def revive(app: Celery, message: Message) -> None:
    """Send what is dead again, as new."""
    queue = (headers(message).pop(MARK, None) or {}).get("queue") or app.conf.task_default_queue
    for header in ("deliveries", "unknown"):
        message.headers.pop(header, None)
    replace(app, message, queue)
