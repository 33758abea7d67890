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


def setting(host: Host, settings: bytes | None, name: str) -> str:
    """The value of a setting, or of the secret that NAME_FILE names; "" where there is none."""
    values = envfile.read(settings or b"", "")[0]
    path = values.get(name + "_FILE", "")
    secret = os.path.basename(path)
    if values.get(name) or path != "/run/secrets/" + secret:
        return values.get(name, "")
    return (disk.read(host.secret(secret)) or "").strip()
