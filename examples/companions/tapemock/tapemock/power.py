"""Simulates a disk that loses all unsynced data in a power cut."""

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

HIDDEN = ".fuse_hidden"  # libfuse's prefix of removed files that are still open


def listing(where: str | int) -> list[str]:
    return [name for name in os.listdir(where) if not name.startswith(HIDDEN)]


def identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


@dataclass(eq=False)
class Node:
    """The last synced content: a file's bytes, a symlink's target or a directory's {name: Node}."""

    mode: int
    content: "bytes | str | dict[str, Node]"


class Disk:
    """The files as last synced. `nodes` maps (device, inode) to a file's Node."""

    def __init__(self, root: str) -> None:
        self.root = f"{root}/."
        self.begin()

    def begin(self) -> None:
        self.nodes = dict[tuple[int, int], Node]()
        self.top = self.taken(self.root)

    def taken(self, path: str) -> Node:
        """Return a file's Node. A file created outside of the mount gets its Node now, and counts as synced."""
        status = os.lstat(path)
        if identity(status) not in self.nodes:
            self.born(path)
            if not stat.S_ISLNK(status.st_mode):
                self.synced(path)
        return self.nodes[identity(status)]

    def born(self, path: str) -> None:
        """Record a new file. A power cut empties unsynced files, and removes new files of an unsynced directory."""
        status = os.lstat(path)
        is_link, is_folder = stat.S_ISLNK(status.st_mode), stat.S_ISDIR(status.st_mode)
        content = os.readlink(path) if is_link else dict[str, Node]() if is_folder else b""
        self.nodes[identity(status)] = Node(status.st_mode, content)

    def synced(self, path: str) -> None:
        """Record a file's content, or a directory's names, as synced. Ignore files that a power cut removed."""
        status = os.stat(path)
        if node := self.nodes.get(identity(status)):
            node.mode = status.st_mode
            if stat.S_ISDIR(node.mode):
                node.content = self.names(path)
            elif stat.S_ISREG(node.mode):
                node.content = Path(path).read_bytes()

    def names(self, path: str) -> dict[str, Node]:
        return {name: self.taken(f"{path}/{name}") for name in listing(path)}

    def cut(self, names: bool) -> None:
        """Reset all files to their synced state. With `names`, unsynced names and truncations survive, too."""
        if names:
            self.named(self.root)
        for entry in list(os.scandir(self.root)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        self.restore(self.top, self.root, set())
        self.begin()

    def named(self, path: str) -> None:
        """Record names and truncations as synced: a file system's journal may store these before the files' content."""
        node = self.taken(path)
        if isinstance(node.content, dict):
            node.content = self.names(path)
            for name in node.content:
                self.named(f"{path}/{name}")
        elif isinstance(node.content, bytes):
            node.content = node.content[: os.lstat(path).st_size]

    def restore(self, node: Node, path: str, placed: set[Node]) -> None:
        """Recreate the file or directory at the path. Skip a directory that is already at another path."""
        if node in placed:
            return
        if isinstance(node.content, str):
            os.symlink(node.content, path)
            return
        if isinstance(node.content, bytes) and stat.S_ISREG(node.mode):
            Path(path).write_bytes(node.content)
        elif isinstance(node.content, bytes):
            os.mknod(path, node.mode)
        else:
            placed.add(node)
            os.makedirs(path, exist_ok=True)
            for name, inner in node.content.items():
                self.restore(inner, f"{path}/{name}", placed)
        os.chmod(path, stat.S_IMODE(node.mode))
