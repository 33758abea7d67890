from datetime import timedelta
from unittest.mock import patch

from django.db import OperationalError
from django.test import TestCase
from django.utils import timezone

from slipway.health import heartbeat
from slipway.models import Heartbeat


class HeartbeatTest(TestCase):
    def test_ages(self) -> None:
        """A part's age is that of its last heartbeat, from any process, or None without one. The host's clock does not
        count. If the database's clock steps back, no age is negative."""
        self.assertEqual(heartbeat.ages(), {"worker": None, "beat": None})
        heartbeat.beat("worker")
        Heartbeat.objects.update(host="gone", release="old", at=timezone.now() - timedelta(seconds=200))
        Heartbeat.objects.create(name="beat", at=timezone.now() + timedelta(hours=1))
        ages = heartbeat.ages()
        self.assertEqual((ages["beat"], (ages["worker"] or 0) > heartbeat.LIMIT), (0, True))
        with patch("django.utils.timezone.now", return_value=timezone.now() - timedelta(hours=1)):
            heartbeat.beat("worker")
        row = Heartbeat.objects.get(name="worker")
        self.assertNotEqual((row.host, row.release), ("gone", "old"))
        self.assertLess(heartbeat.ages()["worker"] or 0, 10)

    def test_database_locked(self) -> None:
        """If the database is locked or away, one line is logged and nothing is raised."""
        with (
            patch.object(Heartbeat.objects, "update_or_create", side_effect=OperationalError("database is locked")),
            self.assertLogs("slipway.health.heartbeat", "WARNING") as logs,
        ):
            heartbeat.beat("beat")
        self.assertEqual(len(logs.output), 1)
        self.assertIn("beat", logs.output[0])
