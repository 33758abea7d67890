"""Tasks that write their begin and end to the journal, and an entry of beat whose every sending is written there."""

import json
import os
import socket
import time

import redis
from celery import shared_task, signals
from django.conf import settings

from slipway.celery import app

PERIOD, LONG = 2, 3  # seconds: the entry's period, and its task's duration, so that a task is always running
journal = redis.Redis.from_url(os.environ["JOURNAL_URL"]) if "JOURNAL_URL" in os.environ else None


def note(what, name, number, at=None):
    """Add a line to the journal: action, task, number, host and time."""
    journal.rpush(
        "journal",
        json.dumps(
            {
                "what": what,
                "task": name,
                "id": number,
                "at": at or time.time(),
                "release": settings.RELEASE,
                "host": os.environ.get("ORDERS_HOST", ""),
                "container": socket.gethostname(),
            }
        ),
    )


@shared_task
def deliver(number):
    note("done", "deliver", number)


@shared_task(bind=True)
def tick(self):
    note("begun", "tick", self.request.id)
    time.sleep(LONG)
    note("done", "tick", self.request.id)


if settings.RELEASE != "build-1":

    @shared_task
    def later(number):
        note("done", "later", number)


app.conf.beat_schedule["tick"] = {"task": tick.name, "schedule": PERIOD}


@signals.beat_init.connect
def watch_beat(**_):
    signals.before_task_publish.connect(beat_sends, sender=tick.name)


def beat_sends(headers, **_):
    note("sent", "tick", headers["id"])
