"""Images and secrets that nothing needs any more go."""

from __future__ import annotations

import os

from .. import disk, images
from ..answers import Pruned
from ..attempt import Attempt
from ..host import Host
from ..shapes import Say


def prune(host: Host, attempt: Attempt, say: Say, image: str) -> Pruned:
    """Remove images and secrets that nothing needs."""
    return {"removed": [*images.prune(host, image), *drop_secrets(host)]}


def drop_secrets(host: Host) -> list[str]:
    """Remove the files of APP.secrets that no settings name any more; their names. Each has one of its own."""
    settings = [host.env, host.env + ".next", host.env + ".revert"]
    settings += [host.slot_file(slot, "env") for slot in ("a", "b", "beat")]
    named = "".join(disk.read(path) or "" for path in settings)
    folder = host.etc + ".secrets"
    old = [name for name in sorted(os.listdir(folder) if os.path.isdir(folder) else ()) if name not in named]
    disk.remove(*("%s/%s" % (folder, name) for name in old))
    return old
