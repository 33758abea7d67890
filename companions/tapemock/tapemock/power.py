"""What a disk would hold after a power cut: what was synced, and nothing else."""

import contextlib
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from .faults import Wrong
from .nodes import Node, attributes, dress, identity, opened, restorable
from .passthrough import HIDDEN, PassThrough, below


def listing(where: str | int) -> list[str]:
    return [name for name in os.listdir(where) if not name.startswith(HIDDEN)]


class Disk:
    """`ids` tells what is there now from what has had the same inode before; `nodes` is what is on the disk."""

    def __init__(self, copies: str) -> None:
        """Of the directory in which the program works. Raises OSError for what it may not read."""
        self.folder = tempfile.TemporaryDirectory(prefix="tapemock-", dir=copies)
        self.place, self.lock, self.made = identity(os.stat(".")), threading.RLock(), 0
        self.ids, self.nodes = dict[tuple[int, int], int](), dict[int, Node]()
        self.begin()

    def copy(self, number: int) -> str:
        return os.path.join(self.folder.name, str(number))

    def begin(self) -> None:
        """All that is there is on the disk."""
        for name in os.listdir(self.folder.name):
            os.unlink(os.path.join(self.folder.name, name))
        self.ids.clear()
        self.nodes.clear()
        self.root = self.taken(".")

    def taken(self, path: str) -> int:
        """The number of what is at the path, synced with all below it."""
        found = os.lstat(path)
        if known := self.ids.get(identity(found)):
            return known
        restorable(path, found)
        number = self.born(path)
        if stat.S_ISREG(found.st_mode):
            shutil.copyfile(path, self.copy(number))
        if stat.S_ISDIR(found.st_mode):
            self.nodes[number].names = {name: self.taken(os.path.join(path, name)) for name in listing(path)}
        return number

    def born(self, path: str) -> int:
        """The number of what was made there just now: on the disk an empty one, once it has a name there."""
        self.made += 1
        node = self.nodes[self.made] = Node(*attributes(path))
        self.ids[identity(node.found)] = self.made
        if stat.S_ISLNK(node.found.st_mode):
            node.target = os.readlink(path)
        if stat.S_ISREG(node.found.st_mode):
            open(self.copy(self.made), "wb").close()
        return self.made

    def node(self, handle: int) -> tuple[int, Node] | None:
        """None for what was made past the mount."""
        number = self.ids.get(identity(os.fstat(handle)))
        return (number, self.nodes[number]) if number else None

    def synced(self, handle: int) -> None:
        """A file, or a directory with its names, is on the disk as it is now."""
        with self.lock:
            if known := self.node(handle):
                number, node = known
                node.found, node.extended = attributes(handle)
                if stat.S_ISDIR(node.found.st_mode):
                    node.names = self.listed(handle)
                elif stat.S_ISREG(node.found.st_mode):
                    shutil.copyfile(f"/proc/self/fd/{handle}", self.copy(number))
                    node.least = None

    def listed(self, where: str | int) -> dict[str, int]:
        """Name → number of a directory as it is now."""
        folder = f"/proc/self/fd/{where}" if isinstance(where, int) else where
        paths = {name: os.path.join(folder, name) for name in listing(where)}
        return {name: self.ids.get(identity(os.lstat(path))) or self.taken(path) for name, path in paths.items()}

    def shortened(self, where: str | int, length: int) -> None:
        with self.lock:
            number = self.ids.get(identity(os.stat(where)))
            if number:
                node = self.nodes[number]
                node.least = length if node.least is None else min(length, node.least)

    def here(self) -> None:
        """Raises Wrong where the program works in another directory: that one would be emptied."""
        if identity(os.stat(".")) != self.place:
            raise Wrong(f"{os.getcwd()} is not the directory that is shown")

    def cut(self, names: bool) -> None:
        """Only what is on the disk is left. `names`: names and lengths have got there, too. Raises Wrong."""
        with self.lock:
            self.here()
            if names:
                self.written(".")
            opened(".")
            for name in os.listdir("."):
                shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.unlink(name)
            self.restore(self.root, ".", {})
            self.begin()

    def written(self, path: str) -> None:
        """Names and lengths get to the disk, as a journal may do it before the content."""
        number = self.ids.get(identity(os.lstat(path)))
        if number and os.path.isdir(path) and not os.path.islink(path):
            self.nodes[number].names = self.listed(path)
            for name in self.nodes[number].names:
                self.written(os.path.join(path, name))
        elif number and (least := self.nodes[number].least) is not None:
            os.truncate(self.copy(number), min(least, os.path.getsize(self.copy(number))))

    def restore(self, number: int, path: str, places: dict[int, str]) -> None:
        """It is at the path as it is on the disk. What has two names is linked; a directory has the first one alone."""
        node, mode = self.nodes[number], self.nodes[number].found.st_mode
        if number in places:
            if not stat.S_ISDIR(mode):
                os.link(places[number], path, follow_symlinks=False)
            return
        places[number] = path
        if stat.S_ISDIR(mode):
            os.makedirs(path, exist_ok=True)
        elif stat.S_ISLNK(mode):
            os.symlink(node.target, path)
        elif stat.S_ISREG(mode):
            shutil.copyfile(self.copy(number), path)
        else:
            os.mknod(path, mode, node.found.st_rdev)
        for name, inner in node.names.items():
            self.restore(inner, os.path.join(path, name), places)
        dress(path, node)


class Powered(PassThrough):
    """A directory of which is known what is on the disk, where there is a folder for copies."""

    def __init__(self, folder: str, copies: str | None) -> None:
        super().__init__(folder)
        os.fchdir(self.folder)
        self.disk = Disk(copies) if copies else None
        self.changing = self.disk.lock if self.disk else contextlib.nullcontext()  # names, one at a time

    def born(self, path: str, make: Callable[[], Any]) -> Any:
        """What `make` returns; what it makes at the path is noted, where nothing was before."""
        with self.changing:
            there = os.path.lexists(below(path))
            made = make()
            if self.disk and not there:
                self.disk.born(below(path))
            return made

    def create(self, path: str, mode: int, flags: int) -> int:
        return int(self.born(path, partial(super().create, path, mode, flags)))

    def mkdir(self, path: str, mode: int) -> None:
        self.born(path, partial(super().mkdir, path, mode))

    def mknod(self, path: str, mode: int, device: int) -> None:
        self.born(path, partial(super().mknod, path, mode, device))

    def symlink(self, path: str, target: str) -> None:
        self.born(path, partial(super().symlink, path, target))

    def link(self, path: str, old: str) -> None:
        with self.changing:
            super().link(path, old)

    def unlink(self, path: str) -> None:
        with self.changing:
            super().unlink(path)

    def rmdir(self, path: str) -> None:
        with self.changing:
            super().rmdir(path)

    def rename(self, path: str, new: str, flags: int = 0) -> None:
        with self.changing:
            super().rename(path, new, flags)

    def open(self, path: str, flags: int) -> int:
        handle = super().open(path, flags)
        if self.disk and flags & os.O_TRUNC:
            self.disk.shortened(handle, 0)
        return handle

    def truncate(self, path: str, length: int, handle: int | None = None) -> None:
        super().truncate(path, length, handle)
        if self.disk:
            self.disk.shortened(below(path) if handle is None else handle, length)

    def fsync(self, path: str, datasync: int, handle: int) -> None:
        super().fsync(path, datasync, handle)
        if self.disk:
            self.disk.synced(handle)

    def fsyncdir(self, path: str, datasync: int, handle: int) -> None:
        super().fsyncdir(path, datasync, handle)
        if self.disk:
            self.disk.synced(handle)
