"""Stands for slipway/envfile.py, which hosts get instead of this file."""

from slipway.envfile import changed, difference, read

__all__ = ["changed", "difference", "read"]
