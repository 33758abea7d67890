"""The Celery worker. During a deploy, workers of the old and the new release run side by side.

The worker pauses while a file worker.pause is beside READY_FILE: it finishes its tasks and takes no more. It writes
"consuming RELEASE" or "paused RELEASE" to READY_FILE. If its release does not know a task, the other may know the task.
So the worker requeues the task after growing delays, and finally moves the task to the queue of dead tasks.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from celery.worker.consumer import Consumer as BaseConsumer
from kombu import Message

from ..lasting import write_replace
from ..release import RELEASE
from . import deliveries
from .task import DUE, seconds_ahead

logger = logging.getLogger(__name__)

LOOK = 0.2  # seconds between checks whether the file worker.pause exists
BACK = 5  # seconds until a task that this release does not know goes back to the queue; doubles each time
TRIES = 7  # requeues of such a task, which take about ten minutes in all
MANY = 1000  # limit of unknown tasks kept: further ones become dead tasks at once


class Consumer(BaseConsumer):
    """Celery's consumer, which puts back what another release's worker can do."""

    announced = False
    qos: Any
    strategies: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # id of a kept message → (timer that puts the message back, arguments for put_back)
        self.kept: dict[int, tuple[Any, tuple[Message, Any, dict[str, Any]]]] = {}

    def on_ready(self) -> None:
        super().on_ready()
        path = os.environ.get("READY_FILE")
        if path and not self.announced:
            self.announced = True
            threading.Thread(target=self.pause_by_file, args=(Path(path),), name="pause_by_file", daemon=True).start()

    def pause_by_file(self, path: Path) -> NoReturn:
        """Pause while the file worker.pause exists beside `path` (READY_FILE). Write each change of state to `path`."""
        queues = list(self.app.amqp.queues.consume_from)
        state = "consuming"
        self.call_soon(say, path, state)
        while True:
            time.sleep(LOOK)
            desired = "paused" if path.with_name("worker.pause").exists() else "consuming"
            if desired != state:
                state = desired
                change = self.cancel_task_queue if state == "paused" else self.add_task_queue
                for queue in queues:
                    self.call_soon(change, queue)
                if state == "paused":
                    self.call_soon(self.give_back)
                self.call_soon(say, path, state)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Message) -> None:
            left = seconds_ahead(None, deliveries.headers(message).get(DUE))
            if self.may_have_begun(message):
                deliveries.send_again(self.app, message)
            elif left > deliveries.seconds_to_keep(self.app):
                self.keep(message, deliveries.seconds_to_keep(self.app))
            else:
                if left > 0:  # Celery itself keeps the task until it is due
                    message.headers["eta"] = message.headers[DUE]
                handle(message)

        return on_message

    def may_have_begun(self, message: Message) -> bool:
        """Return True if another worker may have begun this task: the message was delivered before, this release knows
        the task, and the task is due."""
        headers = deliveries.headers(message)
        redelivered = (message.delivery_info or {}).get("redelivered")
        waits = any(seconds_ahead(None, headers.get(name)) > 0 for name in ("eta", DUE))
        return bool(redelivered and headers.get("task") in self.strategies and not waits)

    def on_unknown_task(self, body: Any, message: Message, exc: Exception) -> None:
        """Requeue an unknown task later. After TRIES requeues, or if MANY such tasks are kept, make it a dead task."""
        tries = deliveries.headers(message).get("unknown", 0)
        if tries >= TRIES or sum("unknown" in headers for _, (*_, headers) in self.kept.values()) >= MANY:
            deliveries.bury(self.app, message, "no release knows it")
            return
        seconds = min(BACK * 2**tries, deliveries.seconds_to_keep(self.app))
        logger.warning("unknown task %s: goes back to the queue in %d s", deliveries.task_name(message), seconds)
        self.keep(message, seconds, unknown=tries + 1)

    def on_unknown_message(self, body: Any, message: Message) -> None:
        deliveries.bury(self.app, message, "it is not a task")

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        deliveries.bury(self.app, message, f"it cannot be read: {type(exc).__name__}")

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:
        deliveries.bury(self.app, message, f"it is not a valid task: {type(exc).__name__}")

    def keep(self, message: Message, seconds: float, **headers: Any) -> None:
        """Keep a message for `seconds` while other tasks run, then requeue it with `headers` added."""
        self.qos.increment_eventually()
        words = (message, self.qos, headers)
        self.kept[id(message)] = self.timer.call_after(seconds, self.call_soon, (self.put_back, *words)), words

    def give_back(self) -> None:
        """Requeue all kept messages now: the other release's worker may know their tasks."""
        for timer, words in [*self.kept.values()]:
            timer.cancel()
            self.put_back(*words)

    def put_back(self, message: Message, qos: Any, headers: dict[str, Any]) -> None:
        if not self.kept.pop(id(message), None):  # it was put back meanwhile
            return
        if qos is not self.qos:  # the worker has reconnected, so the broker sends the message again
            return
        qos.decrement_eventually()
        deliveries.replace(self.app, message, **headers)


def say(path: Path, state: str) -> None:
    try:
        write_replace(path, f"{state} {RELEASE}\n")
    except OSError as error:
        logger.error("%s cannot be written: %s", path, error)
