"""Opening what lies beneath a folder, and nothing else: name after name, each within the one before, and no link."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from io import FileIO
from urllib.parse import quote, unquote_to_bytes

from .in_time import Away

# What a visitor may cause by a name. Any other error is the file system's.
NO_SUCH = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EINVAL,
           errno.ENXIO, errno.EISDIR}
PATH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW  # O_PATH: Linux, needs no right to list
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class NoSuch(Exception):
    """There is no such file or folder, or it is none to be opened."""


class Unreadable(Exception):
    """A file or folder fails, and the rest does not."""


def names(path: str) -> list[bytes]:
    """The names in a page's address, see `address`. Raises NoSuch for what is no name."""
    found = [unquote_to_bytes(part) for part in path.split("/") if part]
    if any(name in (b".", b"..") or b"/" in name or b"\0" in name for name in found):
        raise NoSuch
    return found


def address(name: bytes) -> str:
    """A name as `names` reads it, whatever its bytes are."""
    return quote(name, safe="")


def shown(name: bytes) -> str:
    """A name for people."""
    return name.decode(errors="replace")


@contextlib.contextmanager
def opened(path: str | bytes, flags: int, within: int | None = None) -> Iterator[int]:
    """The descriptor of what `path` names."""
    number = os.open(path, flags | os.O_CLOEXEC, dir_fd=within)
    try:
        yield number
    finally:
        os.close(number)


@contextlib.contextmanager
def told(top: int | None = None) -> Iterator[None]:
    """Raises NoSuch, Away, and Unreadable where the root's descriptor is given, for what the system calls raise."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SUCH:
            raise NoSuch from None
        if error.errno == errno.EIO and top is not None and answers(top):
            raise Unreadable from None
        raise Away(error.strerror or str(error)) from None


def answers(top: int) -> bool:
    """Whether a folder itself can be listed."""
    try:
        with opened(b".", FOLDER, top) as number, os.scandir(number) as entries:
            next(entries, None)
    except OSError as error:
        return error.errno in NO_SUCH
    return True


def root(path: str, any_folder: bool) -> int:
    """The descriptor of the folder that all is beneath. Raises Away where nothing is mounted there, unless any folder
    will do."""
    try:
        number = os.open(path, PATH & ~os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Away(f"{path}: {error.strerror}") from None
    try:
        if any_folder or os.fstat(number).st_dev != os.stat(os.path.dirname(path.rstrip("/"))).st_dev:
            return number
        raise Away(f"{path}: nothing is mounted there")
    except (Away, OSError) as error:
        os.close(number)
        raise error if isinstance(error, Away) else Away(f"{path}: {error.strerror}") from None


@contextlib.contextmanager
def parent(top: int, path: list[bytes]) -> Iterator[int]:
    """The folder of the last of these names."""
    with contextlib.ExitStack() as stack:
        number = top
        for name in path[:-1]:
            number = stack.enter_context(opened(name, PATH, number))
        yield number


@contextlib.contextmanager
def folder(top: int, path: list[bytes]) -> Iterator[int]:
    """A folder, to list."""
    with parent(top, path) as above, opened(path[-1] if path else b".", FOLDER, above) as number:
        yield number


def is_folder(top: int, path: list[bytes]) -> bool:
    """Whether it is one. Raises NoSuch for anything but folders and regular files."""
    if not path:
        return True
    with parent(top, path) as above:
        mode = os.stat(path[-1], dir_fd=above, follow_symlinks=False).st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise NoSuch
    return stat.S_ISDIR(mode)


def file(top: int, path: list[bytes]) -> tuple[FileIO, int]:
    """A regular file, and its size. What has been exchanged since `is_folder` looked is seen after it was opened."""
    with parent(top, path) as above:
        opening = FileIO(path[-1], opener=lambda name, _: os.open(name, FILE | os.O_CLOEXEC, dir_fd=above))
    found = os.fstat(opening.fileno())
    if not stat.S_ISREG(found.st_mode):
        opening.close()
        raise NoSuch
    return opening, found.st_size
