from unittest.mock import patch

from django.test import TestCase

from slipway.health import counts, metrics


class CountsTest(TestCase):

    def test_counts(self) -> None:
        """Counts add up over releases. Those of the live one alone say what failed in it. Few releases are kept."""
        for release in ("v1", *map(str, range(counts.KEPT)), "v2", "v2"):
            with patch.object(counts, "RELEASE", release):
                counts.add(counts.TASKS, {"pay failed": [release == "v2", 1.5], "pay succeeded": [0, 0]})
                found = counts.tasks()
        self.assertEqual(found, {"tasks": {"pay failed": [2, 12.0], "pay succeeded": [0, 0]}, "failed": {"pay": 2}})
        self.assertEqual(counts.of(counts.TASKS, "v1"), {})
        for result in ("success", "success", "exit-code"):
            counts.run("digest", result)
        samples = metrics.counter("x", "", counts.runs()).samples
        self.assertEqual([(*each.labels.values(), each.value) for each in samples],
                         [("digest", "succeeded", 2), ("digest", "failed", 1)])
