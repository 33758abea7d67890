from datetime import timedelta
from unittest.mock import patch

from django.db import OperationalError
from django.test import TestCase
from django.utils import timezone

from slipway import heartbeat
from slipway.models import Heartbeat


def seconds(age: float | None) -> float:
    """An age that is one."""
    assert age is not None
    return age


class HeartbeatTest(TestCase):

    def test_never(self) -> None:
        """A part that never ran has no age."""
        self.assertEqual(heartbeat.ages(), {"worker": None, "beat": None})

    def test_apart(self) -> None:
        """Each part's age is its own."""
        heartbeat.beat("beat")
        heartbeat.beat("worker")
        Heartbeat.objects.filter(name="worker").update(at=timezone.now() - timedelta(seconds=200))
        ages = heartbeat.ages()
        self.assertLess(seconds(ages["beat"]), 10)
        self.assertGreater(seconds(ages["worker"]), heartbeat.LIMIT)

    def test_again(self) -> None:
        """A heartbeat takes the place of the one before, whatever process it came from."""
        heartbeat.beat("worker")
        Heartbeat.objects.update(host="gone", release="old", at=timezone.now() - timedelta(days=1))
        heartbeat.beat("worker")
        row = Heartbeat.objects.get()
        self.assertNotEqual((row.host, row.release), ("gone", "old"))
        self.assertLess(seconds(heartbeat.ages()["worker"]), 10)

    def test_clock_behind(self) -> None:
        """A host whose clock is ahead of ours makes no negative age."""
        Heartbeat.objects.create(name="beat", at=timezone.now() + timedelta(hours=1))
        self.assertEqual(heartbeat.ages()["beat"], 0)

    def test_database_locked(self) -> None:
        """A database that is locked or away is logged in one line, and ends nothing."""
        with patch.object(Heartbeat.objects, "update_or_create", side_effect=OperationalError("database is locked")):
            with self.assertLogs("slipway.heartbeat", "WARNING") as logs:
                self.assertFalse(heartbeat.beat("beat"))
        self.assertEqual(len(logs.output), 1)
        self.assertIn("beat", logs.output[0])
