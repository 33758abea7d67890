"""Check that SQLite's file outlives its container."""

from __future__ import annotations

import os

from . import site
from .host import Host

HOME = "/data/"  # docker-runner mounts /var/www/APP/data here if DATABASE_URL names a file below /data


def problem(host: Host, settings: bytes | None) -> str | None:
    """Return what is wrong with SQLite's file; "" if nothing is; None if the database is not SQLite."""
    scheme, _, rest = site.setting(host, settings, "DATABASE_URL").partition("://")
    if scheme not in ("sqlite", "spatialite"):
        return None
    if not rest.startswith("/" + HOME):
        return (
            "DATABASE_URL puts SQLite's file inside the container, where it would be lost: set it to"
            f" sqlite:///{HOME}db.sqlite3"
        )
    if not os.path.isdir(host.var + "/data"):
        return f"there is no {host.var}/data for SQLite's file: run slipway provision"
    return ""
