"""Tests of delayed tasks. A project without Celery skips them."""

import logging
import unittest
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from django.apps import apps
from django.test import SimpleTestCase

if not apps.is_installed("django_celery_beat"):
    raise unittest.SkipTest("this project does without Celery")

from celery import Task as CeleryTask
from celery.exceptions import Reject, Retry
from django.db import OperationalError
from kombu import Message

from slipway.celery import app
from slipway.jobs import deliveries, task, worker
from slipway.jobs.task import seconds_ahead
from slipway.tasks import heartbeat


class PutOff(SimpleTestCase):
    def test_ahead(self) -> None:
        """`seconds_ahead` returns the seconds until a countdown, a time, or a time as text."""
        later = datetime.now(UTC) + timedelta(seconds=90)
        self.assertEqual((seconds_ahead(7, None), seconds_ahead(None, None)), (7, 0))
        self.assertAlmostEqual(seconds_ahead(None, later), 90, delta=5)
        self.assertAlmostEqual(seconds_ahead(None, later.isoformat()), 90, delta=5)
        self.assertAlmostEqual(seconds_ahead(None, later.replace(tzinfo=None)), 90, delta=5)

    def sent(self, **options: Any) -> Any:
        """Return the options with which a task is sent."""
        with patch.object(CeleryTask, "apply_async") as send:
            heartbeat.apply_async(**options)
        return send.call_args.kwargs

    def test_far_ahead(self) -> None:
        """A delay longer than a worker may keep a message goes into the header `due`; Celery handles others."""
        before = app.conf.broker_transport_options
        app.conf.broker_transport_options = {"visibility_timeout": 660}
        app.conf.task_always_eager = False
        try:
            far = self.sent(countdown=331, headers={"deliveries": 3, "mine": 1})
            self.assertAlmostEqual(seconds_ahead(None, far["headers"]["due"]), 331, delta=5)
            self.assertEqual((far["countdown"], far["eta"], far["headers"]["mine"]), (None, None, 1))
            self.assertNotIn("deliveries", far["headers"])
            near = self.sent(countdown=329, headers={"due": "2020-01-01T00:00:00+00:00"})
            self.assertEqual((near["countdown"], near["headers"]), (329, None))
        finally:
            app.conf.broker_transport_options, app.conf.task_always_eager = before, True

    def test_broker_away(self) -> None:
        """If a retry cannot be sent, the message is requeued."""
        with (
            patch.object(CeleryTask, "retry", side_effect=Reject("away", requeue=False)),
            self.assertRaises(Reject) as caught,
        ):
            heartbeat.retry()
        self.assertTrue(caught.exception.requeue)  # type: ignore[attr-defined]  # celery-types lacks it

    def test_retries_in_tests(self) -> None:
        """delay() runs retries at once, until the task succeeds or has no retry left."""
        fail = [False, True, True]
        with patch.object(heartbeat, "run", lambda: fail.pop() and heartbeat.retry(exc=OSError("away"), max_retries=2)):
            heartbeat.delay()
            self.assertEqual(fail, [])
            fail += [False, True, True, True]
            with self.assertRaisesMessage(OSError, "away"):
                heartbeat.delay()


@app.task(max_retries=0)
def store() -> None:
    raise OperationalError("the server closed the connection")


class Outages(SimpleTestCase):
    def attempt(self, away: bool = True, **request: Any) -> Any:
        """Run the task as a worker does. Return the options with which it is sent again."""
        store.push_request(id="1", args=(), kwargs={}, called_directly=False, **request)
        try:
            with (
                patch.object(task, "is_database_away", lambda: away),
                patch.object(CeleryTask, "apply_async") as send,
                self.assertRaises(Retry),
            ):
                store()
        finally:
            store.pop_request()
        return send.call_args.kwargs

    def test_an_outage_uses_up_no_retry(self) -> None:
        """However long the database is away, and even if the task may not be retried. Pauses grow, up to a minute."""
        for met, pause in ((0, 1), (1, 2), (5, 32), (6, 60), (99, 60)):
            sent = self.attempt(retries=0, outages=met, headers={"mine": 1})
            self.assertEqual((sent["retries"], sent["countdown"]), (0, pause))
            self.assertEqual(sent["headers"], {"mine": 1, "outages": met + 1})

    def test_other_failures_are_the_tasks(self) -> None:
        """Such as a statement that takes too long, or what a test sees."""
        for away, request in ((False, {}), (True, {"is_eager": True})):
            with self.assertRaises(OperationalError):
                self.attempt(away, retries=0, **request)


def message(**headers: Any) -> Any:
    return Message(headers=headers)


class Unknown(SimpleTestCase):
    """Tasks that this release does not know."""

    def setUp(self) -> None:
        logging.disable(logging.ERROR)
        self.addCleanup(logging.disable, logging.NOTSET)

    def fate(self, kept: int = 0, waiting: int = 0, **headers: Any) -> tuple[str, Any]:
        """Return what becomes of such a message, while a worker keeps so many others, and tasks that are not due."""
        consumer = worker.Consumer.__new__(worker.Consumer)
        consumer.app = app
        others = [{"unknown": 1}] * kept + [{}] * waiting
        consumer.kept = {number: (None, (message(), None, words)) for number, words in enumerate(others)}
        with (
            patch.object(deliveries, "replace") as replace,
            patch.object(worker.Consumer, "keep") as keep,
        ):
            consumer.on_unknown_task(None, message(task="shop.new", **headers), KeyError())
        return ("kept", keep.call_args) if keep.called else (replace.call_args.args[2], replace.call_args.kwargs)

    def test_tries_end(self) -> None:
        """It goes back to the queue after pauses that grow, and in the end to that of dead tasks."""
        for tries, pause in ((0, 5), (1, 10), (6, 320)):
            what, call = self.fate(unknown=tries) if tries else self.fate()
            self.assertEqual((what, call.args[1], call.kwargs), ("kept", pause, {"unknown": tries + 1}))
        self.assertEqual(self.fate(unknown=worker.TRIES)[0], deliveries.DEAD)

    def test_a_worker_keeps_only_so_many(self) -> None:
        """Further ones are dead at once. Tasks that wait until they are due do not count."""
        self.assertEqual(self.fate(kept=worker.MANY - 1)[0], "kept")
        self.assertEqual(self.fate(kept=worker.MANY)[0], deliveries.DEAD)
        self.assertEqual(self.fate(waiting=worker.MANY)[0], "kept")

    def test_deliveries_end(self) -> None:
        """A task whose worker was lost again and again is dead, and tells why."""
        with patch.object(deliveries, "replace") as replace:
            deliveries.send_again(app, message(deliveries=deliveries.LIMIT - 1))
            self.assertEqual(replace.call_args.kwargs, {"deliveries": deliveries.LIMIT})
            deliveries.send_again(app, message(deliveries=deliveries.LIMIT))
        self.assertEqual(replace.call_args.args[2], deliveries.DEAD)
        self.assertIn("worker was lost 5 times", replace.call_args.kwargs["dead"]["why"])
