"""SQLite's file: on one server, in a folder that outlives every container."""

from __future__ import annotations

import os
import re
import shlex

from . import disk, envfile, site
from .host import Host

HOME = "/data/"  # docker-runner mounts /var/www/APP/data there where DATABASE_URL names a file in it
VOLUME = re.compile(r"(?:-v|--volume)?=?[^:,=]+:(/[^:]*)")  # a word of docker's options
MOUNT = re.compile(r"(?=.*(?:source|src)=[^,]).*(?:target|dst|destination)=(/[^,]*)")
TAKEN = re.compile(r"(?::|--tmpfs[= ]|target=|dst=|destination=)/data/?[:,'\" ]")  # docker-runner mounts nothing there


def problem(host: Host, settings: bytes | None) -> str | None:
    """What is wrong with SQLite's file, "" for nothing; None where the settings name another database."""
    scheme, _, rest = site.setting(host, settings, "DATABASE_URL").partition("://")
    if scheme not in ("sqlite", "spatialite"):
        return None
    path = rest.partition("?")[0][1:] if rest.startswith("//") else rest
    words = options(host)
    mounted = [found[1] for word in words for found in [VOLUME.match(word) or MOUNT.match(word)] if found]
    if any(path.startswith(folder.rstrip("/") + "/") for folder in mounted):
        return ""
    if not path.startswith(HOME) or TAKEN.search(" ".join([*words, ""])):
        return ("DATABASE_URL names SQLite's file where it would go with its container: name it"
                " sqlite:///%sdb.sqlite3 and leave /data out of opts, or mount its folder by opts" % HOME)
    if not envfile.read(settings or b"", "")[0].get("DATABASE_URL"):
        return "SQLite's file is named by DATABASE_URL_FILE: run make env ARGS='set DATABASE_URL'"
    if not os.path.isdir(host.var + "/data"):
        return "there is no %s/data for SQLite's file: run make provision" % host.var
    return ""


def options(host: Host) -> list[str]:
    """The words of OPTS for docker-runner; none where a quote is not closed, which it refuses."""
    try:
        words = shlex.split(disk.read(host.etc) or "", comments=True)
        return [part for word in words if word.startswith("OPTS=") for part in shlex.split(word[5:])]
    except ValueError:
        return []
