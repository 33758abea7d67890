"""Tests that need Celery. A project without Celery skips them."""

import logging
import os
import signal
import tempfile
import time
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from pathlib import Path
from queue import Empty
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

from django.apps import apps
from django.db import OperationalError
from django.test import SimpleTestCase, TestCase

from slipway.logs import request_id

if not apps.is_installed("django_celery_beat"):
    raise unittest.SkipTest("this project does without Celery")

import kombu
from celery import Celery
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler
from kombu.transport import filesystem

from slipway import celery, tasks
from slipway.jobs import beat

FILES = "slipway.celery:FilesTransport"


class FilesTest(SimpleTestCase):
    """Tests of development's broker, which is a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.options = {
            "data_folder_in": self.folder / "new",
            "data_folder_out": self.folder / "new",
            "control_folder": self.folder / "new/control",
        }

    def channel(self) -> Any:
        connection = kombu.Connection("filesystem://", transport=FILES, transport_options=self.options)
        self.addCleanup(connection.release)
        return connection.channel()

    def test_message_is_whole_or_absent(self) -> None:
        """Before a message is written completely, a reader finds none, not half of one."""
        reader, real = self.channel(), os.rename

        def rename(*paths: Any) -> None:
            self.assertRaises(Empty, reader._get, "celery")
            real(*paths)

        with patch.object(os, "rename", side_effect=rename) as renamed:
            self.channel()._put("celery", "message")
        renamed.assert_called_once()
        self.assertEqual(reader._get("celery"), "message")

    def test_tables_are_whole(self) -> None:
        """Processes that declare their queues at the same moment all find them, and no half-written table."""
        real, delays = filesystem.lock, [0.3]

        def slow(*args: Any) -> None:  # widens the gap that kombu leaves between making a table and locking it
            time.sleep(delays.pop() if delays else 0)
            real(*args)

        def bind(number: int) -> None:
            self.channel()._queue_bind("exchange", f"key{number}", "", f"queue{number}")

        with patch.object(filesystem, "lock", slow), ThreadPoolExecutor(6) as pool:
            list(pool.map(bind, range(6)))
        self.assertEqual({row.queue for row in self.channel().get_table("exchange")}, {f"queue{n}" for n in range(6)})


class BrokerTest(SimpleTestCase):
    def test_refused(self) -> None:
        """A broker that refuses connections is down, and the error does not show its password. Other errors, as of a
        malformed message or of libraries that do not fit, are not the broker's."""
        celery.check_broker()
        with self.assertRaises(KeyError), celery.ask_broker():
            raise KeyError
        with patch.object(kombu.Connection, "ensure_connection", side_effect=TypeError), self.assertRaises(TypeError):
            celery.check_broker()
        for url in ("redis://:hush@127.0.0.1:1/0", "amqp://me:hush@127.0.0.1:1//", "redis://:hush/x@127.0.0.1/0"):
            app = Celery("other", broker=url, set_as_current=False)
            with (
                self.subTest(url),
                patch.object(celery, "project_app", return_value=app),
                self.assertRaises(ConnectionError) as caught,
            ):
                celery.check_broker()
            self.assertNotIn("hush", str(caught.exception))


class RequestIdTest(SimpleTestCase):
    def task(self, eager: bool = False, **headers: Any) -> Any:
        return SimpleNamespace(request=SimpleNamespace(is_eager=eager, **headers))

    def test_of_a_task(self) -> None:
        """A message carries the id of the request that sends it, if any. A task runs under the message's id, or its
        own. An eager task keeps the request's id."""
        Context().run(self.of_a_task)  # outside of any request

    def of_a_task(self) -> None:
        sent: dict[str, str] = {}
        celery.send_request_id(headers=sent)
        self.assertEqual(sent, {})
        request_id.start("visitor-1")
        celery.send_request_id(headers=sent)
        self.assertEqual(sent, {"request_id": "visitor-1"})
        for task, during in (
            (self.task(eager=True), "visitor-1"),
            (self.task(), "own-task-id"),
            (self.task(request_id="visitor-2"), "visitor-2"),
        ):
            celery.take_request_id(task_id="own-task-id", task=task)
            self.assertEqual(request_id.current(), during)


@celery.app.task
def divide(number: int) -> int:
    return 6 // number


class EagerTest(SimpleTestCase):
    """With the test settings, a test gets what a task returns or raises."""

    def test_result_and_error(self) -> None:
        with self.assertNoLogs("kombu"):  # kombu would warn if the broker's URL had no host
            celery.app.connection_for_write().info()
            self.assertEqual(divide.delay(2).get(), 3)
        with self.assertRaises(ZeroDivisionError):
            divide.delay(0)


class ScheduleTest(TestCase):
    def setUp(self) -> None:
        logging.disable(logging.INFO)
        self.addCleanup(logging.disable, logging.NOTSET)
        # Beat's sync would otherwise close the connection of this test's transaction as an old one.
        self.enterContext(patch("django_celery_beat.schedulers.close_old_connections"))

    def schedule(self, **entries: Any) -> beat.Scheduler:
        """Start beat with these entries in the code."""
        app = Celery("other", set_as_current=False)
        app.conf.beat_schedule = entries
        scheduler = beat.Scheduler(app, lazy=True)
        scheduler.load()
        return scheduler

    def entry(self, every: float = 60) -> dict[str, Any]:
        return {"task": "none", "schedule": every}

    def names(self) -> set[str]:
        return set(PeriodicTask.objects.exclude(name__startswith="celery.").values_list("name", flat=True))

    def test_entry_that_left_the_code(self) -> None:
        """Beat deletes an entry that left the code. It keeps entries added in the admin, and changes made there."""
        daily = IntervalSchedule.objects.create(every=1, period="days")
        PeriodicTask.objects.create(name="by hand", task="none", interval=daily)
        self.schedule(old=self.entry(), kept=self.entry())
        self.assertEqual(self.names(), {"by hand", "heartbeat", "old", "kept"})
        scheduler = self.schedule(kept=self.entry(every=30))
        self.assertEqual(self.names(), {"by hand", "heartbeat", "kept"})
        self.assertEqual(PeriodicTask.objects.get(name="kept").interval.every, 30)
        self.assertNotIn("old", scheduler.schedule)
        PeriodicTask.objects.filter(name="kept").update(enabled=False)  # in the admin
        self.assertNotIn("kept", self.schedule(kept=self.entry()).schedule)

    def test_never_sent(self) -> None:
        """An entry's first wait begins when beat first sees it. A restart of beat does not begin it again."""
        self.schedule(job=self.entry())
        seen = PeriodicTask.objects.get(name="job").last_run_at
        self.assertIsNotNone(seen)
        self.assertEqual(self.schedule(job=self.entry()).schedule["job"].last_run_at, seen)
        self.assertEqual(PeriodicTask.objects.get(name="job").last_run_at, seen)

    def test_heartbeat(self) -> None:
        """Beat sends a heartbeat each minute, for any Celery app. Heartbeats that no worker takes do not pile up."""
        self.assertIn("heartbeat", self.schedule().schedule)
        entry = PeriodicTask.objects.get(name="heartbeat")
        self.assertEqual((entry.task, entry.interval.every), ("slipway.tasks.heartbeat", 60))
        self.assertLessEqual(entry.expire_seconds, 60)
        with self.settings(READINESS_BEAT={}):
            self.assertNotIn("heartbeat", self.schedule().schedule)

    def test_database_away(self) -> None:
        """Beat survives a database outage, also at its first look at the schedule."""
        scheduler = beat.Scheduler(celery.app, lazy=True)
        away = OperationalError("the server closed the connection")
        with (
            patch.object(beat.Scheduler, "all_as_schedule", side_effect=away),
            self.assertLogs("slipway.jobs.beat") as logs,
        ):
            self.assertEqual(scheduler.tick(), 5)
            self.assertEqual(scheduler.tick(), 5)
        self.assertNotIn("closed", "".join(logs.output))
        with patch.object(scheduler, "apply_entry"):
            self.assertLessEqual(scheduler.tick(), 5)
        self.assertIn("heartbeat", scheduler.schedule)

    def assert_not_broken_off(self, owner: Any, name: str, call: Callable[[], object]) -> None:
        """A signal to end that arrives during the call of the method `name` takes effect only after the call."""
        done = []

        def note_and_stop(*args: Any, **kwargs: Any) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(name)

        def end(number: int, frame: object) -> NoReturn:
            raise SystemExit

        before = signal.signal(signal.SIGTERM, end)
        try:
            with patch.object(owner, name, side_effect=note_and_stop), self.assertRaises(SystemExit):
                call()
        finally:
            self.assertIs(signal.signal(signal.SIGTERM, before), end)
        self.assertEqual(done, [name])

    def test_told_to_end_while_it_sends(self) -> None:
        """Beat sends the due tasks before it exits: their time is recorded, so nobody else would send them."""
        self.assert_not_broken_off(DatabaseScheduler, "tick", self.schedule(job=self.entry()).tick)

    def test_told_to_end_while_it_starts(self) -> None:
        """Celery's handler closes the database connection, but not while beat uses it."""
        scheduler = beat.Scheduler(celery.app, lazy=True)
        with patch.object(DatabaseScheduler, "tick"):
            self.assert_not_broken_off(scheduler, "load", scheduler.tick)
        self.assert_not_broken_off(tasks.heartbeat, "apply_async", tasks.first_heartbeat)
