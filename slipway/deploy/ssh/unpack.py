"""Write the agent's files on a host. The deployer sends this module and the files if the host lacks them."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile


def unpack(path: str, safe: bool, files: dict[str, str]) -> str:
    """Write the files (path in the folder → text) to the folder `path`, and return it. If its parent is not `safe` or
    has no room, use a temporary folder until this process ends: then nobody can lock the host, but it can be asked."""
    if safe:
        with contextlib.suppress(OSError):
            return write_files(path, files)
    temporary = tempfile.mkdtemp(prefix="agent-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return write_files(temporary + "/agent", files)


def write_files(path: str, files: dict[str, str]) -> str:
    new = f"{path}.{os.getpid()}"
    try:
        os.mkdir(new, 0o700)
        for name, text in files.items():
            file = f"{new}/{name}"
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "w", encoding="utf-8") as out:
                out.write(text)
        os.rename(new, path)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        if not os.path.isdir(path):  # no other connection has written it meanwhile
            raise
    return path
