from datetime import timedelta
from unittest.mock import patch

from django.db.models.functions import Now
from django.test import TestCase

from slipway.health import counts, metrics
from slipway.models import Count


class CountsTest(TestCase):

    def test_releases(self) -> None:
        """Counts add up over releases. Those of the live one alone say what failed in it. A former one's go after a
        week, but stay in the sum."""
        for release, number in (("v1", 2), ("v2", 2), ("v2", 1)):
            with patch.object(counts, "RELEASE", release):
                counts.add(counts.TASKS, {"pay failed": [number, 1.5], "pay succeeded": [0, 0]})
                Count.objects.filter(name="tasks v1").update(at=Now() - timedelta(days=8))
                found = counts.tasks()
        self.assertEqual(found, {"tasks": {"pay failed": [5, 4.5], "pay succeeded": [0, 0]}, "failed": {"pay": 3}})
        self.assertEqual({*Count.objects.values_list("name", flat=True)}, {"tasks", "tasks v2"})

    def test_runs(self) -> None:
        """A run by the clock counts in /metrics, and its other state begins with 0."""
        for result in ("success", "success", "exit-code"):
            counts.run("digest", result)
        found = metrics.counter("x", "", counts.runs()).samples
        self.assertEqual([(*each.labels.values(), each.value) for each in found],
                         [("digest", "succeeded", 2), ("digest", "failed", 1)])
