"""Removing images and secrets that nothing needs any more."""

from __future__ import annotations

from .. import disk, images
from ..answers import Pruned
from ..attempt import Attempt
from ..host import Host
from ..shapes import Say


def prune(host: Host, attempt: Attempt, say: Say, image: str) -> Pruned:
    """Remove images of this name, and secrets, that nothing needs."""
    return {"removed": [*images.prune(host, image), *drop_secrets(host)]}


def drop_secrets(host: Host) -> list[str]:
    """Remove secrets that no settings name any more; their names. No name is used twice."""
    settings = [host.env, host.next_env, host.revert_env, *map(host.kept_env, host.kept_envs())]
    settings += [host.slot_file(slot, "env") for slot in host.pinned()]
    named = "".join(disk.read(path) or "" for path in settings)
    old = [name for name in disk.entries(host.secrets) if name not in named]
    disk.remove(*(host.secret(name) for name in old))
    return old
