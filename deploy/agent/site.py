"""Where the app says that it is: SITE_URL in its settings, or in the file that SITE_URL_FILE names."""

import os
import re

from . import disk, envfile


def of(host, settings):
    """(scheme, host) by the bytes of settings; None where they do not say it."""
    values = envfile.read(settings or b"", "")[0]
    url = values.get("SITE_URL") or secret(host, values.get("SITE_URL_FILE", ""))
    found = re.match(r"(https?)://(?:[^/?#]*@)?([^/?#@\s]+)", url)
    return found and (found[1], found[2])


def secret(host, path):
    """What a setting NAME_FILE names, as it is mounted in containers."""
    name = os.path.basename(path)
    return (disk.read("%s.secrets/%s" % (host.etc, name)) or "").strip() if path == "/run/secrets/" + name else ""
