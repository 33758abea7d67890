"""Simulates a disk that loses all unsynced data in a power cut."""

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

HIDDEN = ".fuse_hidden"  # libfuse's prefix of removed files that are still open


def listing(where: str | int) -> list[str]:
    return [name for name in os.listdir(where) if not name.startswith(HIDDEN)]


def identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


@dataclass
class Node:
    """The last synced content: a file's bytes, a symlink's target or a directory's {name: index in Disk.nodes}."""
    mode: int
    content: bytes | str | dict[str, int]


class Disk:
    """The files as last synced. `ids` maps (device, inode) to a file's number, its index in `nodes`."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.begin()

    def begin(self) -> None:
        self.ids, self.nodes = dict[tuple[int, int], int](), list[Node]()
        self.taken(f"{self.root}/.")

    def taken(self, path: str) -> int:
        """Return a file's number. A file created outside of the mount gets its number now, and counts as synced."""
        found = os.lstat(path)
        if identity(found) not in self.ids:
            self.born(path)
            if not stat.S_ISLNK(found.st_mode):
                self.synced(path)
        return self.ids[identity(found)]

    def born(self, path: str) -> None:
        """Record a new file. A power cut empties unsynced files, and removes new files of an unsynced directory."""
        found = os.lstat(path)
        self.ids[identity(found)] = len(self.nodes)
        is_link, is_folder = stat.S_ISLNK(found.st_mode), stat.S_ISDIR(found.st_mode)
        self.nodes.append(Node(found.st_mode, os.readlink(path) if is_link else {} if is_folder else b""))

    def synced(self, path: str) -> None:
        """Record a file's content, or a directory's names, as synced. Ignore files that a power cut removed."""
        found = os.stat(path)
        if identity(found) in self.ids:
            node = self.nodes[self.ids[identity(found)]]
            node.mode = found.st_mode
            if stat.S_ISDIR(node.mode):
                node.content = self.names(path)
            elif stat.S_ISREG(node.mode):
                node.content = Path(path).read_bytes()

    def names(self, path: str) -> dict[str, int]:
        return {name: self.taken(f"{path}/{name}") for name in listing(path)}

    def cut(self, names: bool) -> None:
        """Reset all files to their synced state. With `names`, unsynced names and truncations survive, too."""
        if names:
            self.named(f"{self.root}/.")
        for entry in list(os.scandir(f"{self.root}/.")):
            shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
        self.restore(0, f"{self.root}/.", set())
        self.begin()

    def named(self, path: str) -> None:
        """Record names and truncations as synced: a file system's journal may store these before the files' content."""
        node = self.nodes[self.taken(path)]
        if isinstance(node.content, dict):
            node.content = self.names(path)
            for name in node.content:
                self.named(f"{path}/{name}")
        elif isinstance(node.content, bytes):
            node.content = node.content[:os.lstat(path).st_size]

    def restore(self, number: int, path: str, placed: set[int]) -> None:
        """Recreate the file or directory `number` at the path. Skip a directory that is already at another path."""
        node = self.nodes[number]
        if isinstance(node.content, str):
            return os.symlink(node.content, path)
        if isinstance(node.content, bytes):
            Path(path).write_bytes(node.content) if stat.S_ISREG(node.mode) else os.mknod(path, node.mode)
        else:
            if number in placed:
                return
            placed.add(number)
            os.makedirs(path, exist_ok=True)
            for name, inner in node.content.items():
                self.restore(inner, f"{path}/{name}", placed)
        os.chmod(path, stat.S_IMODE(node.mode))
