"""The agent's own files on a host, one for each version."""

from __future__ import annotations

import os

from . import disk


def store(path: str, program: bytes) -> None:
    """Write the agent to a file, for systemd, where it is not there. Two agents may do that at the same moment."""
    with disk.locked(os.path.dirname(path)):
        if disk.read_bytes(path) != program:
            disk.write(path, program)


def drop_others(file: str) -> None:
    """Remove the agents of other versions beside this one."""
    folder, name = os.path.split(file)
    disk.remove(*("%s/%s" % (folder, other) for other in disk.entries(folder)
                  if other.startswith("agent-") and not other.startswith(name)))
