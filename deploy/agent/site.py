"""Where the app says that it is: SITE_URL and ADMIN_PATH in its settings, or in files that SITE_URL_FILE and the like
name."""

from __future__ import annotations

import os
import re

from . import disk, envfile
from .host import Host
from .shapes import Site


def of(host: Host, settings: bytes | None) -> Site | None:
    """(scheme, host) by the bytes of settings; None where they do not say it."""
    found = re.match(r"(https?)://(?:[^/?#]*@)?([^/?#@\s]+)", setting(host, settings, "SITE_URL"))
    return found and (found[1], found[2])


def unlimited(host: Host, settings: bytes | None, nginx: str) -> bool:
    """Whether ADMIN_PATH has moved the admin away from the sign-ins that nginx limits. Where it limits none, that is
    meant so."""
    limited = re.findall(r'"~\^POST:(.*)\$" 1;', nginx)
    path = setting(host, settings, "ADMIN_PATH").strip("/")
    return bool(path and limited) and re.escape("/%s/login/" % path) not in limited


def setting(host: Host, settings: bytes | None, name: str) -> str:
    """The value of a setting, from the settings or the file they name; "" where there is none."""
    values = envfile.read(settings or b"", "")[0]
    return values.get(name) or secret(host, values.get(name + "_FILE", ""))


def secret(host: Host, path: str) -> str:
    """What a setting NAME_FILE names, as it is mounted in containers."""
    name = os.path.basename(path)
    return (disk.read(host.secret(name)) or "").strip() if path == "/run/secrets/" + name else ""
