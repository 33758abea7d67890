"""Tests of delayed tasks. A project without Celery skips them."""

import unittest
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from django.apps import apps
from django.test import SimpleTestCase

if not apps.is_installed("django_celery_beat"):
    raise unittest.SkipTest("this project does without Celery")

from celery import Task as CeleryTask
from celery.exceptions import Reject

from slipway.celery import app
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
