"""SQLite's file: on one server, in a folder that outlives every container."""

from __future__ import annotations

import os
import re

from . import disk, envfile, site
from .host import Host

HOME = "/data/"  # docker-runner mounts /var/www/APP/data there where DATABASE_URL names a file in it
MOUNTED = re.compile(r"(?::|(?:target|dst|destination)=)(/[^:,'\" ]*)")


def look(host: Host, settings: bytes | None) -> str | None:
    """What is wrong with SQLite's file, "" for nothing; None where the settings name another database."""
    scheme, _, rest = site.setting(host, settings, "DATABASE_URL").partition("://")
    if scheme not in ("sqlite", "spatialite"):
        return None
    path = rest.partition("?")[0][1:] if rest.startswith("//") else rest
    if any((path + "/").startswith(folder.rstrip("/") + "/") for folder in mounted(host)):
        return ""
    if not path.startswith(HOME):
        return ("DATABASE_URL names SQLite's file where it would go with its container: name it"
                " sqlite:///%sdb.sqlite3, or mount its folder by opts" % HOME)
    if not envfile.read(settings or b"", "")[0].get("DATABASE_URL"):
        return "SQLite's file is named by DATABASE_URL_FILE: set DATABASE_URL by python -m deploy env set DATABASE_URL"
    if not os.path.isdir(host.var + "/data"):
        return "there is no %s/data for SQLite's file: run make provision" % host.var
    return ""


def mounted(host: Host) -> list[str]:
    """Where OPTS for docker-runner mount anything."""
    return MOUNTED.findall(disk.read(host.etc) or "")
