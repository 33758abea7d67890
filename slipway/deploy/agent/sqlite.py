"""SQLite's file: on one server, in a folder that outlives every container."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence

from . import disk, envfile, site
from .host import Host

HOME = "/data/"  # docker-runner mounts /var/www/APP/data there where DATABASE_URL names a file in it
OPTIONS = ("-v", "--volume", "--mount", "--tmpfs")
SOURCE = re.compile(r"(?:^|,)(?:source|src)=[^,]")
TARGET = re.compile(r"(?:^|,)(?:target|dst|destination)=([^,]*)")
TAKEN = re.compile(r"(?::|--tmpfs[= ]|target=|dst=|destination=)/data[:,'\" ]")  # docker-runner mounts nothing there


def problem(host: Host, settings: bytes | None) -> str | None:
    """What is wrong with SQLite's file, "" for nothing; None where the settings name another database."""
    scheme, _, rest = site.setting(host, settings, "DATABASE_URL").partition("://")
    if scheme not in ("sqlite", "spatialite"):
        return None
    path = rest.partition("?")[0][1:] if rest.startswith("//") else rest
    words = options(host)
    stays = outlives(words, path)
    if stays:
        return ""
    if stays is False or not path.startswith(HOME) or TAKEN.search(" ".join([*words, ""])):
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


def outlives(words: Sequence[str], path: str) -> bool | None:
    """Whether the innermost mount around a file outlives its container; None where there is no mount."""
    return max([found for found in mounts(words) if (path + "/").startswith(found[0])], default=("", None))[1]


def mounts(words: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """(folder with a slash at its end, whether what is mounted there outlives the container), by docker's options."""
    for word, following in zip(words, [*words[1:], ""]):
        name, equals, value = re.sub("^-v=?(?=.)", "-v=", word).partition("=")
        if name not in OPTIONS:
            continue
        value = value if equals else following
        target, stays = value.split(":")[0], False  # a tmpfs, or a volume without a name
        if name == "--mount":
            target, stays = (TARGET.findall(value) or [""])[0], bool(SOURCE.search(value))
        elif name != "--tmpfs" and ":" in value:
            target, stays = value.split(":")[1], True
        if target.startswith("/"):
            yield target.rstrip("/") + "/", stays
