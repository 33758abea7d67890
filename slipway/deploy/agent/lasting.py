"""Imports the functions of slipway/lasting/files.py. Hosts get files.py itself, not this module."""

from slipway.lasting.files import link_replace, locked, move, remove, sync, write_beside, write_replace

__all__ = ["link_replace", "locked", "move", "remove", "sync", "write_beside", "write_replace"]
