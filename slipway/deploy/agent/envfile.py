"""Imports functions of slipway/envfile.py. Hosts get that file, not this module."""

from slipway.envfile import changed, difference, read

__all__ = ["changed", "difference", "read"]
