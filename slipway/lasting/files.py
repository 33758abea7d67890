"""Replaces files and symlinks atomically, and locks files that may be replaced. The deployer's agent, which runs on
hosts, contains this file: use only the standard library of Python 3.9."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import stat
import time
from collections.abc import Callable, Iterator

PAUSE = 0.01  # seconds between attempts to lock: the kernel has no lock call with a timeout


# ---- replace files ----


def write_replace(
    path: str | os.PathLike[str], content: str | bytes, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Create or replace a file: write and sync PATH.new, rename it, sync the folder. If PATH is a symlink, replace the
    symlink itself. `owner` is (uid, gid). Without `mode`, keep the file's, or less if its group changes (`keep_mode`);
    a new file's is 0644. On failure raise an OSError with a `filename`."""
    old = existing(path)
    if old and mode is None and owner is None:
        own = functools.partial(keep_mode, old)
    else:
        own = functools.partial(give, owner, mode if mode is not None else stat.S_IMODE(old.st_mode) if old else 0o644)
    with written(path, content, own) as new:
        move(new, path)


def existing(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Return the status of a file, or None if there is none."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def write_beside(
    path: str | os.PathLike[str], content: str | bytes, mode: int = 0o644, owner: tuple[int, int] | None = None
) -> str:
    """Write and sync PATH.new; return its path. Until you `move` PATH.new, another writer of PATH can remove it."""
    with written(path, content, functools.partial(give, owner, mode)) as new:
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
def written(path: str | os.PathLike[str], content: str | bytes, own: Callable[[int], None]) -> Iterator[str]:
    """Write and sync PATH.new, lock it against other writers until the block ends, and yield its path. On an error
    remove it. Replace a PATH.new that a killed writer left. `own` gives the open file its owner and mode."""
    new = os.fspath(path) + ".new"
    number = begin(new)
    try:
        with named(new), open(number, "wb", closefd=False) as file:
            own(number)
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


# ---- owner and mode of an open file ----


def give(owner: tuple[int, int] | None, mode: int, number: int) -> None:
    if owner:
        os.fchown(number, *owner)
    os.fchmod(number, mode)


def keep(old: os.stat_result, mode: int | None, number: int) -> None:
    """Give the file the owner and the group of `old`, as far as this process may, and `mode`, or that of `old`."""
    for owner in ((old.st_uid if os.geteuid() == 0 else -1, old.st_gid), (-1, old.st_gid)):
        try:
            os.fchown(number, *owner)
            break
        except OSError as error:  # not in the group; or root in a container without the capability, or the user
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
    if mode is None:
        keep_mode(old, number)
    else:
        os.fchmod(number, mode)


def keep_mode(old: os.stat_result, number: int) -> None:
    """Give the file the mode of `old`. If its group is another, group and others may only do what both may with `old`:
    nobody gets more access. If its owner is another, no program runs as this one."""
    new, mode = os.fstat(number), stat.S_IMODE(old.st_mode)
    if new.st_gid != old.st_gid:
        both = mode >> 3 & mode & 0o7
        mode = mode & ~(stat.S_ISGID | 0o77) | both << 3 | both
    os.fchmod(number, mode if new.st_uid == old.st_uid else mode & ~stat.S_ISUID)


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
