"""Opens files below one folder only. It opens each folder of the path in turn, and follows no symlink."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from .in_time import Away

# Errors caused by the path that a visitor asks for. All other errors are faults of the file system.
NO_SUCH = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.ENXIO,
    errno.EISDIR,
}
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LAST = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
MOST = 10_000  # names read from one folder, at most
PAGE = 200


class NoSuch(Exception):
    """The path leads to no readable file or folder."""


@dataclass
class Entry:
    """An entry of a folder. `address` is the path of its page, or "" for a symlink or a device."""

    name: str
    address: str
    folder: bool
    size: int | None = None
    changed: datetime | None = None


def names(path: str) -> list[bytes]:
    """Split a page's path into decoded file names. Raise NoSuch if a name is invalid, such as `..`."""
    parts = [unquote_to_bytes(part) for part in path.split("/") if part]
    if any(name in (b".", b"..") or b"/" in name or b"\0" in name for name in parts):
        raise NoSuch
    return parts


def address(path: list[bytes]) -> str:
    return "/".join(quote(name, safe="") for name in path)


def shown(name: bytes) -> str:
    return name.decode(errors="replace")


@contextlib.contextmanager
def as_no_such_or_away() -> Iterator[None]:
    """Turn an OSError of the block into NoSuch if the visitor's path caused it, else into Away."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SUCH:
            raise NoSuch from None
        raise Away(error.strerror or str(error)) from None


def opened(root: str, any_folder: bool, path: list[bytes]) -> int:
    """Open the regular file or folder `path` below `root`. Return its descriptor. Raise NoSuch if there is none. Raise
    Away if the file system fails. If `any_folder` is false, also raise Away if `root` is no mount point."""
    try:
        number = os.open(root, FOLDER & ~os.O_NOFOLLOW)
        if not any_folder and os.fstat(number).st_dev == os.stat(os.path.dirname(root.rstrip("/"))).st_dev:
            os.close(number)
            raise Away(f"{root}: nothing is mounted there")
    except OSError as error:
        raise Away(f"{root}: {error.strerror}") from None
    with as_no_such_or_away():
        for name, flags in zip([*path, b"."], [*[FOLDER] * (len(path) - 1), LAST], strict=False):
            above = number
            try:
                number = os.open(name, flags, dir_fd=above)
            finally:
                os.close(above)
    if stat.S_IFMT(os.fstat(number).st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
        os.close(number)
        raise NoSuch
    return number


def listed(number: int, path: list[bytes], page: int) -> tuple[list[Entry], int]:
    """Read at most MOST entries of the open folder `number`. Return one page, folders first, and the entries' count."""
    with as_no_such_or_away(), os.scandir(number) as entries:
        ordered = [
            (not is_folder(entry), entry.name.casefold(), entry) for entry, _ in zip(entries, range(MOST), strict=False)
        ]
        ordered.sort(key=lambda entry: entry[:2])
        return [described(entry, path) for *_, entry in ordered[(page - 1) * PAGE : page * PAGE]], len(ordered)


def is_folder(entry: "os.DirEntry[str]") -> bool:
    with contextlib.suppress(OSError):
        return entry.is_dir(follow_symlinks=False)
    return False


def described(entry: "os.DirEntry[str]", path: list[bytes]) -> Entry:
    name = os.fsencode(entry.name)
    made = Entry(shown(name), "", is_folder(entry))
    with contextlib.suppress(OSError, ValueError, OverflowError):  # the time may be outside datetime's range
        if made.folder or entry.is_file(follow_symlinks=False):
            made.address = address([*path, name])
        status = entry.stat(follow_symlinks=False)
        made.size = None if made.folder else status.st_size
        made.changed = datetime.fromtimestamp(status.st_mtime, UTC)
    return made
