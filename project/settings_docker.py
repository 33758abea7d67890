"""Production: settings_shared.py, then the template's. What only production has of yours goes below."""
# flake8: noqa: F821

from slipway.settings import load

globals().update(load("production", __package__))
