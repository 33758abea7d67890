from datetime import timedelta
from unittest.mock import patch

from django.core.management import call_command
from django.db.models.functions import Now
from django.test import TestCase

from slipway.health import counts, metrics
from slipway.models import Count


class CountsTest(TestCase):

    def test_releases(self) -> None:
        """Counts add up over releases. Those of the live one alone say what failed in it. A former one's go after a
        week, but stay in the sum."""
        for release in ("v1", "v2"):
            with patch.object(counts, "RELEASE", release):
                counts.add(counts.TASK, {("pay", "failed"): (2, 1.5), ("pay", "succeeded"): (0, 0)})
                Count.objects.filter(release="v1").update(at=Now() - timedelta(days=8))
        with patch.object(counts, "RELEASE", "v2"):
            counts.add(counts.TASK, {("pay", "failed"): (1, 0)})
            self.assertEqual(counts.tasks(), {"tasks": {"pay": {"failed": [5, 3.0], "succeeded": [0, 0.0]}},
                                              "failed": {"pay": 3}})
        self.assertEqual({*Count.objects.values_list("release", flat=True)}, {"", "v2"})

    def test_runs(self) -> None:
        """A run by the clock counts in /metrics, and its other state begins with 0."""
        for result in ("success", "success", "exit-code"):
            call_command("countrun", "digest", result)
        found = metrics.counters("scheduled_runs", "", counts.runs(), 0).samples
        self.assertEqual({(each.name, *each.labels.values()): each.value for each in found}, {
            ("scheduled_runs_total", "digest", "succeeded"): 2, ("scheduled_runs_total", "digest", "failed"): 1})
