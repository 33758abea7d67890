"""What settings say of the site, themselves or by the secrets that SITE_URL_FILE and ADMIN_PATH_FILE name."""

from __future__ import annotations

import os
import re

from . import disk, envfile
from .host import Host
from .shapes import Site


def of(host: Host, settings: bytes | None) -> Site | None:
    """(scheme, host) of SITE_URL in the bytes of settings; None where there is none."""
    found = re.match(r"(https?)://(?:[^/?#]*@)?([^/?#@\s]+)", setting(host, settings, "SITE_URL"))
    return found and (found[1], found[2])


def unlimited(host: Host, settings: bytes | None, nginx: str) -> bool:
    """Whether nginx, by the text of its site, limits sign-ins, and not those of ADMIN_PATH."""
    limited = re.findall(r'"~\^POST:(.*)\$" 1;', nginx)
    path = setting(host, settings, "ADMIN_PATH").strip("/")
    return bool(path and limited) and re.escape("/%s/login/" % path) not in limited


def setting(host: Host, settings: bytes | None, name: str) -> str:
    """The value of a setting, or of the secret that NAME_FILE names; "" where there is none."""
    values = envfile.read(settings or b"", "")[0]
    return values.get(name) or secret(host, values.get(name + "_FILE", ""))


def secret(host: Host, path: str) -> str:
    """The content of a secret by its path in containers; "" for any other path."""
    name = os.path.basename(path)
    return (disk.read(host.secret(name)) or "").strip() if path == "/run/secrets/" + name else ""
