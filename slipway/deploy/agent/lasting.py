"""A stub: it is in slipway/lasting/files.py, which the bundle has under this name."""

from slipway.lasting.files import link_replace, locked, move, remove, sync, write_beside, write_replace

__all__ = ["link_replace", "locked", "move", "remove", "sync", "write_beside", "write_replace"]
