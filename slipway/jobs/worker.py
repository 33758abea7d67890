"""What a deploy asks of the image's worker, of two releases that run side by side for a while.

In the file that READY_FILE names it says "consuming RELEASE", or "paused RELEASE" while worker.pause lies beside that
file: then it takes no more tasks, and ends those it has. A task that it does not know, which only the other release
can have queued, it puts back, each time after a longer while, and when it is paused; deliveries.py says what becomes of
it in the end.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from celery.worker.consumer import Consumer as BaseConsumer
from django.conf import settings
from kombu import Message

from ..lasting import write_replace
from . import deliveries
from .task import DUE, ahead

logger = logging.getLogger(__name__)

LOOK = 0.2  # seconds between two looks for worker.pause
BACK = 5  # seconds an unknown task is kept first, then twice as long each time
TRIES = 7  # times it is put back: in all ten minutes
MANY = 1000  # unknown tasks that are kept at a time: more would fill the memory


class Consumer(BaseConsumer):
    """Celery's, with the above."""

    told = False
    qos: Any
    strategies: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # id of a message → its timer, and what put_back takes
        self.kept: dict[int, tuple[Any, tuple[Message, Any, dict[str, Any]]]] = {}

    def on_ready(self) -> None:
        """Begin to heed worker.pause."""
        super().on_ready()
        path = os.environ.get("READY_FILE")
        if path and not self.told:
            self.told = True
            threading.Thread(target=self.heed, args=(Path(path),), name="heed", daemon=True).start()

    def heed(self, path: Path) -> NoReturn:
        """Do as worker.pause says, and say so."""
        queues, state = list(self.app.amqp.queues.consume_from), "consuming"
        self.call_soon(say, path, state)
        while True:
            time.sleep(LOOK)
            wanted = "paused" if path.with_name("worker.pause").exists() else "consuming"
            if wanted != state:
                state = wanted
                change = self.cancel_task_queue if state == "paused" else self.add_task_queue
                for queue in queues:
                    self.call_soon(change, queue)
                if state == "paused":
                    self.call_soon(self.give_back)
                self.call_soon(say, path, state)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Celery's, with a look at each message before."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Message) -> None:
            left = ahead(None, deliveries.headers(message).get(DUE))
            if self.was_begun(message):
                deliveries.again(self.app, message)
            elif left > deliveries.hold(self.app):
                self.keep(message, deliveries.hold(self.app))
            else:
                if left > 0:  # the rest of the way is Celery's
                    message.headers["eta"] = message.headers[DUE]
                handle(message)

        return on_message

    def was_begun(self, message: Message) -> bool:
        """Whether somebody had it before, and may have begun it: what is not due yet, or unknown, is only kept."""
        headers, had = deliveries.headers(message), (message.delivery_info or {}).get("redelivered")
        waits = any(ahead(None, headers.get(name)) > 0 for name in ("eta", DUE))
        return bool(had and headers.get("task") in self.strategies and not waits)

    def on_unknown_task(self, body: Any, message: Message, exc: Exception) -> None:
        """Put it back after a while, or bury it."""
        tries = deliveries.headers(message).get("unknown", 0)
        if tries >= TRIES or sum("unknown" in headers for _, (*_, headers) in self.kept.values()) >= MANY:
            return deliveries.bury(self.app, message, "no release knows it")
        seconds = min(BACK * 2 ** tries, deliveries.hold(self.app))
        logger.warning("unknown task %s: put back in %d s", deliveries.name(message), seconds)
        self.keep(message, seconds, unknown=tries + 1)

    def on_unknown_message(self, body: Any, message: Message) -> None:
        deliveries.bury(self.app, message, "it is no task")

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        deliveries.bury(self.app, message, f"it cannot be read: {type(exc).__name__}")

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:
        deliveries.bury(self.app, message, f"it is no valid task: {type(exc).__name__}")

    def keep(self, message: Message, seconds: float, **headers: Any) -> None:
        """Hold a message back, beside those that are worked on, and then put it at the end of its queue."""
        self.qos.increment_eventually()
        words = (message, self.qos, headers)
        self.kept[id(message)] = self.timer.call_after(seconds, self.call_soon, (self.put_back, *words)), words

    def give_back(self) -> None:
        """Put back at once all that is kept: another release's worker goes on, and may know it."""
        for timer, words in [*self.kept.values()]:
            timer.cancel()
            self.put_back(*words)

    def put_back(self, message: Message, qos: Any, headers: dict[str, Any]) -> None:
        """Put a message at the end of its queue, unless that was done meanwhile."""
        if not self.kept.pop(id(message), None):  # it was given back meanwhile
            return
        if qos is not self.qos:  # another connection has it by now
            return
        qos.decrement_eventually()
        deliveries.replace(self.app, message, **headers)


def say(path: Path, state: str) -> None:
    """Write it whole; that the folder is full or away is no reason to stop working."""
    try:
        write_replace(path, f"{state} {settings.RELEASE}\n")
    except OSError as error:
        logger.error("%s cannot be written: %s", path, error)
