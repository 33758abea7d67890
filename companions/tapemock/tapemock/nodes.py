"""A file, directory or link, as it was, and as it is again."""

import errno
import os
import stat
from dataclasses import dataclass, field


@dataclass
class Node:
    """A file, directory or link as it was when it was last synced, or made. A file's content is a copy by itself."""

    found: os.stat_result
    extended: dict[str, bytes]
    target: str = ""
    names: dict[str, int] = field(default_factory=dict)
    least: int | None = None  # how short it has been cut since


def attributes(where: str | int) -> tuple[os.stat_result, dict[str, bytes]]:
    follow = isinstance(where, int)
    names = os.listxattr(where, follow_symlinks=follow)
    return (os.stat(where, follow_symlinks=follow),
            {name: os.getxattr(where, name, follow_symlinks=follow) for name in names})


def identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def restorable(path: str, found: os.stat_result) -> None:
    """Raises OSError for what only root could make as it is."""
    if os.geteuid() and (found.st_uid != os.geteuid() or found.st_gid not in {os.getegid(), *os.getgroups()}):
        raise PermissionError(errno.EPERM, "only root could restore what is somebody else's", path)


def opened(folder: str) -> None:
    """What is in it, and below, may be removed. Raises OSError before anything is."""
    os.chmod(folder, 0o700)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                opened(entry.path)


def dress(path: str, node: Node) -> None:
    """Owner, mode, attributes and times. Not only root may set what is as it should be."""
    found, (now, extended) = node.found, attributes(path)
    if (now.st_uid, now.st_gid) != (found.st_uid, found.st_gid):
        os.lchown(path, found.st_uid, found.st_gid)
    for name, value in node.extended.items():
        if extended.get(name) != value:
            os.setxattr(path, name, value, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(path, stat.S_IMODE(found.st_mode))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)
