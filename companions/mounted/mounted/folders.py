"""What a folder holds, and the search below it: in the time there is, and no more than there is room for."""

import errno
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from . import beneath

MOST = 10_000  # names of a folder
PAGE = 200
FOUND = 200
LOOKED = 100_000  # names that a search looks at
UNREAD = {*beneath.NO_SUCH, errno.EIO}  # of an entry: the others are shown


@dataclass
class Entry:
    """A line of a list. `address` is that of its page; none where it cannot be opened."""

    name: str
    address: str | None
    folder: bool
    size: int | None = None
    changed: datetime | None = None


@dataclass
class Listing:
    """Entries of one page; `more`: there is another one; `part`: why not all names are known, or empty."""

    entries: list[Entry]
    more: bool = False
    part: str = ""


def listed(top: int, path: list[bytes], page: int, seconds: float) -> Listing:
    """A page of a folder's entries, folders first."""
    deadline, part = time.monotonic() + seconds, ""
    with beneath.folder(top, path) as number:
        known: list[tuple[bool, os.DirEntry[str]]] = []
        with os.scandir(number) as entries:
            for entry in entries:
                if len(known) == MOST or time.monotonic() > deadline:
                    part = f"Only {len(known)} of its names are shown: there are more."
                    break
                known.append((is_folder(entry), entry))
        known.sort(key=lambda one: (not one[0], one[1].name.casefold()))
        first = (page - 1) * PAGE
        return Listing([described(entry, path, deadline) for _, entry in known[first:first + PAGE]],
                       len(known) > first + PAGE, part)


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is known to be one: some file systems need to be asked."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError as error:
        if error.errno in UNREAD:
            return False
        raise


def described(entry: "os.DirEntry[str]", path: list[bytes], deadline: float) -> Entry:
    """With size and time, where there is time for it and it can be looked at. It may have gone meanwhile."""
    name, folder = os.fsencode(entry.name), is_folder(entry)
    made = Entry(beneath.shown(name), None, folder)
    try:
        if folder or entry.is_file(follow_symlinks=False):
            made.address = "/".join(map(beneath.address, [*path, name]))
        if time.monotonic() > deadline:
            return made
        found = entry.stat(follow_symlinks=False)
    except OSError as error:
        if error.errno in UNREAD:
            return made
        raise
    made.size = None if folder else found.st_size
    made.changed = time_of(found.st_mtime)
    return made


def time_of(seconds: float) -> datetime | None:
    """A file's time; a file system may say any."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


class Enough(Exception):
    """A search has looked at as much as it may."""


def searched(top: int, path: list[bytes], text: str, seconds: float) -> Listing:
    """Whose name has the text in it, in any case, below a folder: nearest first."""
    found: list[Entry] = []
    unread: list[list[bytes]] = []
    deadline, wanted = time.monotonic() + seconds, text.casefold()
    try:
        for below, entry in walked(top, path, deadline, unread):
            if wanted in beneath.shown(below[-1]).casefold():
                found.append(described(entry, below[:-1], deadline))
                found[-1].name = "/".join(map(beneath.shown, below[len(path):]))
            if len(found) == FOUND:
                part = f"Only the first {FOUND} are shown: search in one of the folders, or for more."
                return Listing(found, part=part)
    except Enough:
        return Listing(found, part="Not everything could be looked at: search in one of the folders.")
    return Listing(found, part="Some folders cannot be read." if unread else "")


def walked(top: int, path: list[bytes], deadline: float,
           unread: list[list[bytes]]) -> Iterator[tuple[list[bytes], "os.DirEntry[str]"]]:
    """(path, entry) of all that is below a folder, whose links are not followed. What goes meanwhile is left out, and
    what cannot be read is noted. Raises Enough when the time is over, which folders without a name take, too."""
    waiting, looked = deque([path]), 0
    while waiting:
        if time.monotonic() > deadline:
            raise Enough
        current = waiting.popleft()
        try:
            with beneath.folder(top, current) as number, os.scandir(number) as entries:
                for entry in entries:
                    if looked == LOOKED or time.monotonic() > deadline:
                        raise Enough
                    looked += 1
                    below = [*current, os.fsencode(entry.name)]
                    if is_folder(entry):
                        waiting.append(below)
                    yield below, entry
        except OSError as error:
            if error.errno not in UNREAD or current == path:
                raise
            if error.errno == errno.EIO:
                unread.append(current)
