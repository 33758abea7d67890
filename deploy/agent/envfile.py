"""A stub: the grammar is in slipway/envfile.py, which the bundle has under this name."""

from slipway.envfile import read

__all__ = ["read"]
