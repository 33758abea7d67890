"""Tests: settings_shared.py, then the template's. What only tests have of yours goes below."""
# flake8: noqa: F821

from slipway.settings import load

globals().update(load("testing", __package__))
