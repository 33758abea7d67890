"""A stub: the grammar is in slipway/envfile.py, which the bundle has under this name."""

from slipway.envfile import changed, difference, read

__all__ = ["changed", "difference", "read"]
