"""Development: settings_shared.py, then the template's. What only development has of yours goes below."""
# flake8: noqa: F821

from slipway.settings import load

globals().update(load("development", __package__))
