"""Tasks that are put off; skipped in a project that does without Celery."""

import unittest
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec

from django.test import SimpleTestCase

if not (find_spec("celery") and find_spec("project.celery")):
    raise unittest.SkipTest("this project does without Celery")

from project.celery import app
from project.ops.task import ahead
from project.tasks import heartbeat


class PutOff(SimpleTestCase):
    def test_ahead(self):
        """Seconds from now, of a countdown, a time, or a time as text."""
        later = datetime.now(timezone.utc) + timedelta(seconds=90)
        self.assertEqual((ahead(7, None), ahead(None, None)), (7, 0))
        self.assertAlmostEqual(ahead(None, later), 90, delta=5)
        self.assertAlmostEqual(ahead(None, later.isoformat()), 90, delta=5)
        self.assertAlmostEqual(ahead(None, later.replace(tzinfo=None)), 90, delta=5)

    def test_refused(self):
        """A task put off for longer than Redis waits is refused, and named; what is within goes on."""
        before = app.conf.broker_transport_options
        app.conf.broker_transport_options = {"visibility_timeout": 660}
        app.conf.task_always_eager = False
        try:
            with self.assertRaisesMessage(ValueError, "project.tasks.heartbeat is put off for 661 s"):
                heartbeat.apply_async(countdown=661)
            heartbeat.apply_async(countdown=659)
        finally:
            app.conf.broker_transport_options, app.conf.task_always_eager = before, True
