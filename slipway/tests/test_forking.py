"""Tests of closing connections before a fork; tests/ops/test_preload.py tests this in a server."""

import sys
from types import SimpleNamespace
from unittest.mock import Mock, patch

from django.test import SimpleTestCase

from slipway.web import forking


class CloseTest(SimpleTestCase):
    def test_all_are_closed(self) -> None:
        """Connections, pools and the broker's connection are closed."""
        close = Mock()
        pooled = SimpleNamespace(close=close, close_pool=close, settings_dict={"OPTIONS": {"pool": True}})
        plain = SimpleNamespace(close=close, settings_dict={"OPTIONS": {}})
        with patch.object(forking, "connections", Mock(all=lambda **_: [pooled, plain])), \
                patch.dict(sys.modules, {"slipway.celery": SimpleNamespace(disconnect=close)}):
            forking.close_connections()
        self.assertEqual(close.call_count, 4)
