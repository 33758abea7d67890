"""A folder that is replaced as a whole, while others read it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator

from .files import link_replace, locked, move, sync


class Generations:
    """PATH is a link into PATH.gen, which has a folder for each generation, numbered. `keep` of them stay, the current
    one among them, and besides those that someone reads. The folder above has to be there."""

    def __init__(self, path: str | os.PathLike[str], keep: int = 2) -> None:
        if keep < 1:
            raise ValueError("the current generation is one to keep")
        self.path, self.keep = os.path.abspath(path), keep
        self.folder = self.path + ".gen"

    @contextlib.contextmanager
    def build(self) -> Iterator[str]:
        """An empty folder to be filled, for one process at a time. Where the block ends well all in it is synced, and
        it is the current generation, for good, once this returns. Else the one before stays. Raises OSError; before
        the block FileExistsError, where PATH is no link."""
        if os.path.lexists(self.path) and not os.path.islink(self.path):
            raise FileExistsError(errno.EEXIST, "not a link to a generation", self.path)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.folder)
        with locked(self.folder):
            new = self.begin()
            try:
                yield new
                sync_tree(new)
                move(new, new[:-4])
                link_replace(self.path, os.path.relpath(new[:-4], os.path.dirname(self.path)))
            except BaseException:
                with contextlib.suppress(OSError):  # which would hide why
                    if os.path.realpath(self.path) != os.path.realpath(new[:-4]):  # else it is current, but not synced
                        os.rename(new[:-4], new)
                shutil.rmtree(new, ignore_errors=True)
                raise
            self.forget()

    @contextlib.contextmanager
    def current(self) -> Iterator[str]:
        """The folder of the current generation, which stays while the block runs, whatever is built meanwhile. Raises
        FileNotFoundError where there is none yet."""
        with contextlib.ExitStack() as stack:
            found = ""
            while True:
                before, found = found, os.path.join(os.path.dirname(self.path), os.readlink(self.path))
                try:
                    stack.enter_context(locked(found, shared=True))
                    break
                except FileNotFoundError:
                    if found == before:  # else it was forgotten just now, and another is current
                        raise
            yield found

    def begin(self) -> str:
        """A new folder, numbered after all that are there; what a killed process has left goes."""
        for name in os.listdir(self.folder):
            if re.fullmatch(r"\d{6,}\.(new|old)", name):
                shutil.rmtree(os.path.join(self.folder, name))
        new = os.path.join(self.folder, "%06d.new" % (max(self.numbers(), default=0) + 1))
        os.mkdir(new)
        return new

    def forget(self) -> None:
        """Remove old generations that nobody reads. What has a number is whole, so that goes first. The new one is
        current by now: what cannot be removed is left to the next `begin`."""
        for number in self.numbers()[:-self.keep]:
            path = os.path.join(self.folder, "%06d" % number)
            with contextlib.suppress(OSError), locked(path, timeout=0):
                os.rename(path, path + ".old")
                shutil.rmtree(path + ".old")

    def numbers(self) -> list[int]:
        """Those of the generations, the newest last."""
        return sorted(int(name) for name in os.listdir(self.folder) if name.isdigit())


def sync_tree(folder: str) -> None:
    """Sync all that is in a folder, and it. Raises OSError, which names the file."""
    def fail(error: OSError) -> None:
        raise error
    for parent, _, names in os.walk(folder, topdown=False, onerror=fail):
        for path in (os.path.join(parent, name) for name in names):
            if stat.S_ISREG(os.lstat(path).st_mode):
                sync(path)
        sync(parent)
