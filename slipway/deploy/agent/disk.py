"""Files of a host: read, and written as slipway/lasting/ does it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from . import lasting
from .lasting import link_replace as link, move, remove, sync, write_beside, write_replace as write

__all__ = ["clear", "entries", "link", "locked", "move", "read", "read_bytes", "read_exact", "read_small", "remove",
           "sync", "touch", "write", "write_beside"]


def read_bytes(path: str, most: int | None = None) -> bytes | None:
    """What is in a file, or None where there is none. `most`: no more than so many bytes, the last whole lines."""
    try:
        with open(path, "rb") as file:
            if most and os.fstat(file.fileno()).st_size > most:
                file.seek(-most, os.SEEK_END)
                file.readline(most)
            return file.read(most)
    except (FileNotFoundError, NotADirectoryError):
        return None


def read(path: str) -> str | None:
    """The text of a file, to be understood or shown; None where there is none."""
    content = read_bytes(path)
    return None if content is None else content.decode(errors="replace")


def read_exact(path: str, most: int | None = None) -> str | None:
    """The text of a file, to be written again: `write` makes of it the same bytes. `most`: as for `read_bytes`."""
    content = read_bytes(path, most)
    return None if content is None else content.decode(errors="surrogateescape")


def entries(folder: str) -> list[str]:
    """The names in a folder, sorted; none where there is no folder."""
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold a folder's lock for one process while the block runs. Without the folder nothing is locked."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            stack.enter_context(lasting.locked(folder))
        yield


def read_small(path: str, most: int = 4096) -> str | None:
    """Return a file's first bytes as text, following no link and reading no pipe; None without such a file."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        regular = stat.S_ISREG(os.fstat(number).st_mode)  # `open` would refuse a folder, and leave the number open
        return os.read(number, most).decode(errors="replace") if regular else None
    except OSError:
        return None
    finally:
        os.close(number)


def clear(path: str) -> None:
    """Remove whatever is there, in a folder that is not ours."""
    try:
        remove(path)
    except IsADirectoryError:
        import shutil  # only here: it takes long to load
        shutil.rmtree(path)


def touch(path: str) -> None:
    """Make an empty file in a folder that is not ours."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))


# ---- the agent's own files, one for each version ----

def store_agent(path: str, program: bytes) -> None:
    """Write the agent to a file, for systemd, where it is not there. Two agents may do that at the same moment."""
    with locked(os.path.dirname(path)):
        if read_bytes(path) != program:
            write(path, program)


def drop_other_agents(file: str) -> None:
    """Remove the agents of other versions beside this one."""
    folder, name = os.path.split(file)
    remove(*("%s/%s" % (folder, other) for other in entries(folder)
             if other.startswith("agent-") and not other.startswith(name)))
