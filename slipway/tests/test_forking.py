"""Tests of closing connections before a fork; tests/ops/test_preload.py tests this in a server."""

import sys
from types import SimpleNamespace
from unittest.mock import Mock, patch

from django.test import SimpleTestCase

from slipway.web import forking


class LetGoTest(SimpleTestCase):
    def test_all_are_closed_whatever_the_first_ones_say(self) -> None:
        """A connection that cannot be closed is logged. All others are still closed, and workers start."""
        close = Mock(side_effect=OSError("gone"))
        pooled = SimpleNamespace(close=close, close_pool=close, settings_dict={"OPTIONS": {"pool": True}})
        plain = SimpleNamespace(close=close, close_pool=Mock(), settings_dict={"OPTIONS": {}})
        with patch.object(forking, "connections", Mock(all=lambda **_: [pooled, plain])), \
                patch.dict(sys.modules, {"slipway.celery": SimpleNamespace(disconnect=close)}), \
                self.assertLogs("slipway.web.forking", "WARNING") as logs:
            forking.close_connections()
        self.assertEqual((close.call_count, len(logs.records)), (4, 4))
        plain.close_pool.assert_not_called()
