"""What a deploy asks of the image's worker, of two releases that run side by side for a while.

In the file that READY_FILE names it says "consuming RELEASE", or "paused RELEASE" while worker.pause lies beside that
file: then it takes no more tasks, and ends those it has. A task that it does not know, which only the other release
can have queued, it puts back.
"""

import logging
import os
import threading
import time
from pathlib import Path

from celery.worker.consumer import Consumer as BaseConsumer
from django.conf import settings

logger = logging.getLogger(__name__)

LOOK = 0.2  # seconds between two looks for worker.pause
BACK = 5  # seconds an unknown task is kept, so that it does not go round and round


class Consumer(BaseConsumer):
    """Celery's, with the above."""

    told = False

    def on_ready(self):
        super().on_ready()
        path = os.environ.get("READY_FILE")
        if path and not self.told:
            self.told = True
            threading.Thread(target=self.heed, args=(Path(path),), name="heed", daemon=True).start()

    def heed(self, path):
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
                self.call_soon(say, path, state)

    def on_unknown_task(self, body, message, exc):
        logger.warning("unknown task %s: put back in %d s", message.headers.get("task", exc), BACK)
        self.timer.call_after(BACK, message.requeue)


def say(path, state):
    """Write it whole; that the folder is full or away is no reason to stop working."""
    try:
        new = path.with_name(path.name + ".new")
        new.write_text(f"{state} {settings.RELEASE}\n")
        new.replace(path)
    except OSError as error:
        logger.error("%s cannot be written: %s", path, error)
