"""Tasks are counted, once each, whoever counts and whatever the database does."""

import unittest
from types import SimpleNamespace
from typing import Any
from unittest import mock

from django.apps import apps
from django.db import OperationalError
from django.test import TestCase

if not apps.is_installed("django_celery_beat"):
    raise unittest.SkipTest("this project does without Celery")

from slipway.jobs import tally


def task(name: str = "shop.order", **request: Any) -> Any:
    return SimpleNamespace(name=name, request=SimpleNamespace(is_eager=False, **request))


class Tally(TestCase):
    def setUp(self) -> None:
        self.timer = self.enterContext(mock.patch("slipway.jobs.tally.threading.Timer"))  # no thread of its own here
        self.enterContext(mock.patch("slipway.jobs.tally.connections"))  # the test's connection stays
        self.addCleanup(setattr, tally, "_timer", None)
        self.addCleanup(tally._ended.clear)
        self.addCleanup(tally._seconds.clear)

    def end(self, *states: str, **options: Any) -> None:
        for state in states:
            ended = task(**options)
            tally.begin(ended)
            tally.end(ended, state)

    def counted(self) -> dict[tuple[str, str], int]:
        return {(name, state): figures["count"] for name, states in tally.counts()["tasks"].items()
                for state, figures in states.items()}

    def test_added_up(self) -> None:
        """What several processes note becomes one figure for each task and state; seconds too."""
        self.end("SUCCESS", "SUCCESS", "FAILURE")
        tally.add()
        self.end("SUCCESS")
        self.end("RETRY", name="other")
        tally.add()
        tally.add()
        self.assertEqual(self.counted(), {("shop.order", "success"): 3, ("shop.order", "failure"): 1,
                                          ("other", "retry"): 1})
        self.assertGreaterEqual(tally.counts()["tasks"]["shop.order"]["success"]["seconds"], 0)

    def test_one_timer_at_a_time(self) -> None:
        """However many end, they are added up together, and the next ones later."""
        self.end("SUCCESS", "SUCCESS")
        self.assertEqual(self.timer.call_count, 1)
        tally.add()
        self.end("SUCCESS")
        self.assertEqual(self.timer.call_count, 2)

    def test_a_database_that_is_away_loses_none(self) -> None:
        """What it does not take is added with the next, and nothing twice."""
        self.end("SUCCESS", "FAILURE")
        real = tally.add_one
        with mock.patch.object(tally, "add_one", side_effect=[mock.DEFAULT, OperationalError("away")], wraps=real), \
                self.assertLogs("slipway.jobs.tally", "WARNING") as logs:
            tally.add()
        self.assertEqual(logs.records[0].getMessage(), "the figures of 1 tasks are not written yet: OperationalError")
        self.end("FAILURE")
        tally.add()
        self.assertEqual(self.counted(), {("shop.order", "success"): 1, ("shop.order", "failure"): 2})

    def test_what_runs_at_once_in_the_site_is_not_counted(self) -> None:
        """Without a broker a task is part of a request."""
        eager = SimpleNamespace(name="shop.order", request=SimpleNamespace(is_eager=True))
        tally.begin(eager)
        tally.end(eager, "SUCCESS")
        tally.add()
        self.assertEqual(self.counted(), {})
