"""Check that SQLite's file outlives its container."""

from __future__ import annotations

import os
import re
import shlex

from slipway import envfile

from . import disk, site
from .host import Host

HOME = "/data/"  # docker-runner mounts /var/www/APP/data here if DATABASE_URL names a file below /data
VOLUME = re.compile(r"(?:-v|--volume)?=?[^:,=]+:(/[^:]*)")  # an argument of `docker run` that mounts a folder
MOUNT = re.compile(r"(?=.*(?:source|src)=[^,]).*(?:target|dst|destination)=(/[^,]*)")


def problem(host: Host, settings: bytes | None) -> str | None:
    """Return what is wrong with SQLite's file or setting; "" if nothing is; None if the database is not SQLite."""
    scheme, _, rest = site.setting(host, settings, "DATABASE_URL").partition("://")
    if scheme not in ("sqlite", "spatialite"):
        return None
    path = rest.partition("?")[0][1:] if rest.startswith("//") else rest
    mounted = [found[1] for word in options(host) for found in [VOLUME.match(word) or MOUNT.match(word)] if found]
    if any(path.startswith(folder.rstrip("/") + "/") for folder in mounted):
        return ""
    if not path.startswith(HOME):
        return ("DATABASE_URL puts SQLite's file inside the container, where it would be lost: set it to"
                " sqlite:///%sdb.sqlite3, or mount the file's folder in opts" % HOME)
    if not envfile.read(settings or b"", "")[0].get("DATABASE_URL"):
        return "SQLite works only with DATABASE_URL, not DATABASE_URL_FILE: run make env ARGS='set DATABASE_URL'"
    if not os.path.isdir(host.var + "/data"):
        return "there is no %s/data for SQLite's file: run make provision" % host.var
    return ""


def options(host: Host) -> list[str]:
    try:
        words = shlex.split(disk.read(host.etc) or "", comments=True)
        return [part for word in words if word.startswith("OPTS=") for part in shlex.split(word[5:])]
    except ValueError:
        return []
