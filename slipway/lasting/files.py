"""Replaces files and symlinks atomically, and locks files that may be replaced. The deployer's agent, which runs on
hosts, contains this file: use only the standard library of Python 3.9."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator

PAUSE = 0.01  # seconds between attempts to lock: the kernel has no lock call with a timeout


# ---- replace files ----


def write_replace(
    path: str | os.PathLike[str], content: str | bytes, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Create or replace a file: write and sync PATH.new, rename it, sync the folder. If PATH is a symlink, replace the
    symlink itself. Without `mode`, keep the file's; a new file's is 0644. `owner` is (uid, gid). On failure raise an
    OSError with a `filename`."""
    with written(path, content, mode_of(path) if mode is None else mode, owner) as new:
        move(new, path)


def mode_of(path: str | os.PathLike[str]) -> int:
    """Return the mode of a file, or 0644 if there is none."""
    try:
        existing = os.lstat(path).st_mode
    except FileNotFoundError:
        return 0o644
    return stat.S_IMODE(existing) if stat.S_ISREG(existing) else 0o644


def write_beside(
    path: str | os.PathLike[str], content: str | bytes, mode: int = 0o644, owner: tuple[int, int] | None = None
) -> str:
    """Write and sync PATH.new; return its path. Until you `move` PATH.new, another writer of PATH can remove it."""
    with written(path, content, mode, owner) as new:
        return new


def move(path: str | os.PathLike[str], to: str | os.PathLike[str]) -> None:
    os.rename(path, to)
    sync(os.path.dirname(to))


def link_replace(path: str | os.PathLike[str], target: str) -> None:
    """Create or replace the symlink `path` by one rename. Only one process at a time may call this."""
    new = os.fspath(path) + ".new"
    remove(new)
    os.symlink(target, new)
    try:
        move(new, path)
    except OSError:
        with contextlib.suppress(OSError):  # a second error would hide the first
            remove(new)
        raise


@contextlib.contextmanager
def written(
    path: str | os.PathLike[str], content: str | bytes, mode: int, owner: tuple[int, int] | None
) -> Iterator[str]:
    """Write and sync PATH.new, lock it against other writers until the block ends, and yield its path. On an error
    remove it. Replace a PATH.new that a killed writer left."""
    new = os.fspath(path) + ".new"
    number = begin(new)
    try:
        with named(new), open(number, "wb", closefd=False) as file:
            if owner:
                os.fchown(number, *owner)
            os.fchmod(number, mode)
            file.write(content if isinstance(content, bytes) else content.encode(errors="surrogateescape"))
            file.flush()
            os.fsync(number)
        yield new
    except BaseException:
        with contextlib.suppress(OSError):  # a second error would hide the first
            if is_at(number, new):  # else our file was renamed, and this one is another writer's
                remove(new)
        raise
    finally:
        fcntl.flock(number, fcntl.LOCK_UN)  # a child forked meanwhile shares this descriptor, and would keep the lock
        os.close(number)


def begin(new: str) -> int:
    """Create and lock a file; return its descriptor. The lock shows other writers that this writer is alive."""
    while True:
        with contextlib.suppress(FileExistsError), contextlib.ExitStack() as stack:
            number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            stack.callback(os.close, number)
            fcntl.flock(number, fcntl.LOCK_EX)
            if is_at(number, new):  # else another writer removed the file before it was locked
                stack.pop_all()
                return number
            continue
        end(new)


def end(new: str) -> None:
    """Wait until the file's writer has finished or died, then remove the file if it still exists."""
    if os.path.islink(new):  # no `written` is using it
        remove(new)
        return
    with contextlib.suppress(FileNotFoundError), locked(new, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK):
        remove(new)


# ---- lock files ----


@contextlib.contextmanager
def locked(
    path: str | os.PathLike[str],
    flags: int = os.O_RDONLY,
    mode: int = 0o666,
    *,
    shared: bool = False,
    timeout: float | None = None,
) -> Iterator[int]:
    """Open and lock a file or folder, and yield its descriptor. If another process replaces the file during the wait
    for the lock, open the new file. `flags` and `mode`: see `os.open`. Several processes may hold a `shared` lock.
    After a wait of `timeout` seconds, raise TimeoutError."""
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        number = os.open(path, flags, mode)
        try:
            wait(number, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, until)
            if is_at(number, path):
                yield number
                return
        finally:
            os.close(number)


def wait(number: int, path: str | os.PathLike[str], kind: int, until: float | None) -> None:
    """Lock the open file of the descriptor `number`. Raise TimeoutError if it is not free by monotonic time `until`."""
    with named(path):
        if until is None:
            return fcntl.flock(number, kind)
        while True:
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(number, kind | fcntl.LOCK_NB)
            if time.monotonic() >= until:
                raise TimeoutError(errno.ETIMEDOUT, "another process has it locked")
            time.sleep(PAUSE)


def is_at(number: int, path: str | os.PathLike[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except FileNotFoundError:
        return False


# ---- helpers ----


def remove(*paths: str) -> None:
    """Remove the files that exist. If none exists, a read-only disk causes no error."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if os.path.lexists(path):
                os.unlink(path)


@contextlib.contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = error.filename or os.fspath(path)
        raise


def sync(path: str) -> None:
    """Write a file's content, or a folder's renames and removals, to the disk. Raise OSError if the disk fails."""
    number = os.open(path or ".", os.O_RDONLY)
    try:
        with named(path):
            os.fsync(number)
    finally:
        os.close(number)
