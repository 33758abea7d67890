"""Read settings, including those whose values are in secrets' files."""

from __future__ import annotations

import os
import re

from slipway import envfile

from . import disk
from .host import Host
from .message_types import Site


def site_of(host: Host, settings: bytes | None) -> Site | None:
    """Return (scheme, host[:port]) of SITE_URL; None if SITE_URL is no URL."""
    match = re.match(r"(https?)://(?:[^/?#]*@)?([^/?#@\s]+)", setting(host, settings, "SITE_URL"))
    return match and (match[1], match[2])


def setting(host: Host, settings: bytes | None, name: str) -> str:
    """Return a setting, else the content of the secret that NAME_FILE names, else "". The addresses of the app's
    services are no release's, and replace its settings, as in docker-runner."""
    addresses = envfile.read(disk.read_bytes(host.services) or b"", "")[0]
    if addresses.get(name):
        return addresses[name]
    values = envfile.read(settings or b"", "")[0]
    path = values.get(name + "_FILE", "")
    secret = os.path.basename(path)
    if values.get(name) or path != "/run/secrets/" + secret:
        return values.get(name, "")
    return (disk.read(host.secret(secret)) or "").strip()
