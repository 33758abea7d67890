"""Read and write a host's files. Written files survive a power cut: see slipway/lasting/."""

from __future__ import annotations

import contextlib
import os
import stat

from slipway.lasting.files import link_replace as link
from slipway.lasting.files import locked, move, remove, sync, write_beside
from slipway.lasting.files import write_replace as write

__all__ = [
    "link",
    "list_folder",
    "locked",
    "move",
    "read",
    "read_bytes",
    "read_exact",
    "read_small",
    "remove",
    "sync",
    "touch",
    "write",
    "write_beside",
]


def read_bytes(path: str, most: int | None = None) -> bytes | None:
    """Return a file's bytes; None if there is no file. Of a file over `most` bytes, return the last whole lines."""
    try:
        with open(path, "rb") as file:
            if most and os.fstat(file.fileno()).st_size > most:
                file.seek(-most, os.SEEK_END)
                file.readline(most)
            return file.read(most)
    except (FileNotFoundError, NotADirectoryError):
        return None


def read(path: str) -> str | None:
    """Return a file's text, with invalid bytes replaced; None if the file is missing."""
    content = read_bytes(path)
    return None if content is None else content.decode(errors="replace")


def read_exact(path: str, most: int | None = None) -> str | None:
    """Return a file's text; None if the file is missing. `write` restores invalid bytes. `most`: see read_bytes."""
    content = read_bytes(path, most)
    return None if content is None else content.decode(errors="surrogateescape")


def list_folder(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def read_small(path: str, most: int = 4096) -> str | None:
    """Return a regular file's first `most` bytes as text; None if the path is no readable regular file."""
    with contextlib.suppress(OSError):
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            regular = stat.S_ISREG(os.fstat(number).st_mode)  # open(number) fails for a folder, and leaves it open
            return os.read(number, most).decode(errors="replace") if regular else None
        finally:
            os.close(number)
    return None


def touch(path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))
