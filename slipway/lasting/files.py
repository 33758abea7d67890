"""A file or a link that is replaced as a whole, and a lock that is right when that happens to what is locked.
The deployer's agent has this, too."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator

PAUSE = 0.01  # seconds: no call of the system waits for a lock for a limited time


# ---- replaced ----

def write_replace(path: str | os.PathLike[str], content: str | bytes, mode: int = 0o644,
                  owner: tuple[int, int] | None = None) -> None:
    """Write beside, sync, rename, sync the folder. Of several who do so at once each is whole, and the last one stays.
    A link is replaced, not followed. `owner`: (uid, gid). Raises OSError, which names the file: the old content is
    there then, or, where only the folder could not be synced, the new one."""
    with written(path, content, mode, owner) as new:
        move(new, path)


def write_beside(path: str | os.PathLike[str], content: str | bytes, mode: int = 0o644,
                 owner: tuple[int, int] | None = None) -> str:
    """The first half of `write_replace`, where one process alone writes: a synced file beside its place; its path."""
    with written(path, content, mode, owner) as new:
        return new


def move(path: str | os.PathLike[str], to: str | os.PathLike[str]) -> None:
    """The second half: rename within a folder, and sync that."""
    os.rename(path, to)
    sync(os.path.dirname(to))


def link_replace(path: str | os.PathLike[str], target: str) -> None:
    """Make a symbolic link, in one rename over whatever was there. For one process at a time. Raises OSError."""
    new = os.fspath(path) + ".new"
    remove(new)
    os.symlink(target, new)
    try:
        move(new, path)
    except OSError:
        with contextlib.suppress(OSError):  # which would hide why
            remove(new)
        raise


@contextlib.contextmanager
def written(path: str | os.PathLike[str], content: str | bytes, mode: int,
            owner: tuple[int, int] | None) -> Iterator[str]:
    """The path of a synced file, PATH.new; nobody else begins one there while the block runs, and its lock is held.
    Removed where an error ends that. What a killed process has left is no hindrance."""
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
        with contextlib.suppress(OSError):  # which would hide why
            if is_at(number, new):  # else it has its name, and what is there is another's
                remove(new)
        raise
    finally:
        fcntl.flock(number, fcntl.LOCK_UN)  # a child that another thread has forked meanwhile would keep it
        os.close(number)


def begin(new: str) -> int:
    """Make a file, and lock it: for who finds it, that is how a writer who lives differs from one who was killed."""
    while True:
        with contextlib.suppress(FileExistsError), contextlib.ExitStack() as stack:
            number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            stack.callback(os.close, number)
            fcntl.flock(number, fcntl.LOCK_EX)
            if is_at(number, new):  # else it was taken for a dead one's before it was locked
                stack.pop_all()
                return number
            continue
        end(new)


def end(new: str) -> None:
    """Wait for who writes a file; remove what nobody writes."""
    try:
        with contextlib.suppress(FileNotFoundError), locked(new, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK):
            remove(new)
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link: none of ours
            raise
        remove(new)


# ---- locked ----

@contextlib.contextmanager
def locked(path: str | os.PathLike[str], flags: int = os.O_RDONLY, mode: int = 0o666, *, shared: bool = False,
           timeout: float | None = None) -> Iterator[int]:
    """A file or folder, open and locked for as long as the block runs; its number. What is open is what `path` names:
    where that was replaced or removed while this waited, it opens the new one. `flags` and `mode` are those of
    `os.open`; the rest is as for LockedOpen."""
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
    """Lock an open file. Raises TimeoutError at that time."""
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
    """Whether an open file is what a path names."""
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except FileNotFoundError:
        return False


# ---- what they are made of ----

def remove(*paths: str) -> None:
    """Remove those of these files that are there. A read-only disk is an error only where one of them is there."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if os.path.lexists(path):
                os.unlink(path)


@contextlib.contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """What the block raises of OSError names the path, where it names none, as after a write."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or os.fspath(path)
        raise


def sync(path: str) -> None:
    """Make what a file has, or what was renamed and removed in a folder, outlive a power cut. Raises OSError, which
    names it."""
    number = os.open(path or ".", os.O_RDONLY)
    try:
        with named(path):
            os.fsync(number)
    finally:
        os.close(number)
