"""Files, written whole: whoever reads one, after a power cut too, finds it as it was or as it is now."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator


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


def write(path: str, content: str | bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Write beside, sync, rename, sync the folder."""
    new = write_beside(path, content, mode, owner)
    try:
        move(new, path)
    except OSError:
        with contextlib.suppress(OSError):  # which would hide why
            remove(new)
        raise


def write_beside(path: str, content: str | bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> str:
    """The first half of `write`: a synced file beside its place; its path. `owner`: (uid, gid)."""
    new = path + ".new"
    remove(new)
    try:
        with named(new), open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if owner:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            file.write(content if isinstance(content, bytes) else content.encode(errors="surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):  # which would hide why
            remove(new)
        raise
    return new


def move(path: str, to: str) -> None:
    """Rename, and sync the folder."""
    os.rename(path, to)
    sync_folder(os.path.dirname(to))


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold a lock for as long as the block runs: one process at a time for a folder. It ends with its process. Where
    there is no folder nothing is locked."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def remove(*paths: str) -> None:
    """Remove those of these files that are there. A read-only disk is an error only where one of them is there."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if os.path.lexists(path):
                os.unlink(path)


@contextlib.contextmanager
def named(path: str) -> Iterator[None]:
    """What the block raises of OSError names the path, where it names none, as after a write."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or path
        raise


def sync_folder(path: str) -> None:
    """Make renames and removals in a folder outlive a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        with named(path):
            os.fsync(folder)
    finally:
        os.close(folder)


def link(path: str, target: str) -> None:
    """Make a symbolic link, in one rename over whatever was there."""
    remove(path + ".new")
    os.symlink(target, path + ".new")
    os.rename(path + ".new", path)


def read_small(path: str, most: int = 4096) -> str | None:
    """The first bytes of a file, as text, in a folder that is not ours: no link is followed, no pipe read. None where
    there is no such file."""
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
