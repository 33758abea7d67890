"""Opening what lies beneath a folder, and nothing else: name after name, each within the one before, and no link."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from .in_time import Away

# What a visitor may cause by a name. Any other error is the file system's.
NO_SUCH = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EINVAL,
           errno.ENXIO, errno.EISDIR}
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LAST = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
MOST = 10_000  # names of a folder
PAGE = 200


class NoSuch(Exception):
    """There is no such file or folder, or it is none to be opened."""


@dataclass
class Entry:
    """A line of a list. `address` is that of its page; none where it cannot be opened."""
    name: str
    address: str
    folder: bool
    size: int | None = None
    changed: datetime | None = None


def names(path: str) -> list[bytes]:
    """The names in a page's address, see `address`. Raises NoSuch for what is no name."""
    found = [unquote_to_bytes(part) for part in path.split("/") if part]
    if any(name in (b".", b"..") or b"/" in name or b"\0" in name for name in found):
        raise NoSuch
    return found


def address(path: list[bytes]) -> str:
    """Names as `names` reads them, whatever their bytes are."""
    return "/".join(quote(name, safe="") for name in path)


def shown(name: bytes) -> str:
    """A name for people."""
    return name.decode(errors="replace")


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Raises NoSuch and Away for what the system calls raise."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SUCH:
            raise NoSuch from None
        raise Away(error.strerror or str(error)) from None


def opened(root: str, any_folder: bool, path: list[bytes]) -> int:
    """The descriptor of a regular file or a folder. Raises NoSuch; Away where nothing is mounted at the root, unless
    any folder will do."""
    try:
        number = os.open(root, FOLDER & ~os.O_NOFOLLOW)
        if not any_folder and os.fstat(number).st_dev == os.stat(os.path.dirname(root.rstrip("/"))).st_dev:
            os.close(number)
            raise Away(f"{root}: nothing is mounted there")
    except OSError as error:
        raise Away(f"{root}: {error.strerror}") from None
    with told():
        for name, flags in zip([*path, b"."], [*[FOLDER] * (len(path) - 1), LAST]):
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
    """A page of a folder's entries, folders first, and how many names there are, as far as they were counted."""
    with told(), os.scandir(number) as entries:
        known = [(not is_folder(entry), entry.name.casefold(), entry) for entry, _ in zip(entries, range(MOST))]
        known.sort(key=lambda one: one[:2])
        return [described(entry, path) for *_, entry in known[(page - 1) * PAGE:page * PAGE]], len(known)


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is known to be one: some file systems need to be asked, and may fail."""
    with contextlib.suppress(OSError):
        return entry.is_dir(follow_symlinks=False)
    return False


def described(entry: "os.DirEntry[str]", path: list[bytes]) -> Entry:
    """With size and time, where it can be looked at. It may have gone meanwhile."""
    name = os.fsencode(entry.name)
    made = Entry(shown(name), "", is_folder(entry))
    with contextlib.suppress(OSError, ValueError, OverflowError):  # a file system may say any time
        if made.folder or entry.is_file(follow_symlinks=False):
            made.address = address([*path, name])
        found = entry.stat(follow_symlinks=False)
        made.size = None if made.folder else found.st_size
        made.changed = datetime.fromtimestamp(found.st_mtime, UTC)
    return made
