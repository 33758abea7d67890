"""A file system that passes operations on to another folder, or makes them fail."""

import errno
import os
import stat
import threading
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import Any

from mfusepy import FUSE, fuse_get_context  # type: ignore[import-untyped]

from .faults import OPERATIONS, Fault, Faults
from .power import Disk, listing
from .tape import Tape

KEPT = os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_APPEND | os.O_ACCMODE | os.O_SYNC | os.O_NOATIME
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2  # utimensat's UTIME_NOW and UTIME_OMIT
MADE = {"create", "mkdir", "mknod", "symlink"}


class Fuse(FUSE):  # type: ignore[misc]
    """mfusepy's file system, which also refuses the flags of rename that it does not know."""

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> Any:
        """Rename a file. Refuse flags such as RENAME_EXCHANGE, which mfusepy would ignore."""
        return -errno.EINVAL if flags else super().rename_fuse_3(old, new, flags)


def below(call: Any) -> Callable[..., Any]:
    def operation(self: "Mock", path: str, *arguments: Any) -> Any:
        return call(self.at(path), *arguments)

    return operation


class Mock:
    """File operations. `root` leads to SOURCE, even if MOUNT hides it. Add no member `lock`: mfusepy would call it."""

    use_ns = True
    init: Callable[[str], None]

    def __init__(self, given: Namespace) -> None:
        self.root = f"/proc/self/fd/{os.open(given.source, os.O_PATH | os.O_DIRECTORY)}"
        self.faults, self.changing = Faults(), threading.RLock()
        self.log = deque[dict[str, Any]](maxlen=10_000)
        self.tape = (
            Tape(self.root, given, self.changing, self.note, lambda path: self.struck("fetch", [path])[0])
            if given.tape
            else None
        )
        self.disk = Disk(self.root) if given.power_cut else None

    def at(self, path: str) -> str:
        return self.root + path

    def note(self, what: str, path: str, **arguments: Any) -> None:
        self.log.append({"time": time.time(), "what": what, "path": path, **arguments})

    def struck(self, operation: str, paths: list[str], size: int = 0) -> tuple[Fault | None, int]:
        """Wait as the fault says. Raise OSError if it sets `errno` but not `torn`; else return what Faults decides."""
        fault, room = self.faults.decide(operation, paths, size)
        if fault:
            self.note(operation, paths[0], fault=fault.id, errno=fault.errno, delay=fault.delay)
            time.sleep(fault.delay)
            if fault.errno and fault.torn is None:
                raise OSError(getattr(errno, fault.errno), f"as told by fault {fault.id}")
        return fault, room

    def check_on_disk(self, where: str | int) -> None:
        """Raise OSError if the file `where` is on tape."""
        if self.tape and self.tape.stub(where):
            raise OSError(errno.EIO, "on tape")

    def owned(self, path: str) -> None:
        """If tapemock runs as root, make the user who created a file its owner."""
        if os.geteuid() == 0:
            uid, gid, _ = fuse_get_context()
            inherits = os.stat(os.path.dirname(self.at(path))).st_mode & stat.S_ISGID
            os.lchown(self.at(path), uid, -1 if inherits else gid)

    def getattr(self, path: str, handle: int | None = None) -> dict[str, int]:
        status = os.lstat(self.at(path)) if handle is None else os.fstat(handle)
        times = {f"st_{name}": getattr(status, f"st_{name}_ns") for name in ("atime", "mtime", "ctime")}
        return {name: getattr(status, name) for name in dir(status) if name.startswith("st_")} | times

    def statfs(self, path: str) -> dict[str, int]:
        status = os.statvfs(self.at(path))
        return {name: getattr(status, name) for name in dir(status) if name.startswith("f_")}

    def readdir(self, path: str, handle: int) -> list[tuple[str, None, int]]:
        return [(name, None, 0) for name in (".", "..", *listing(handle))]

    def releasedir(self, path: str, handle: int) -> None:
        os.close(handle)

    opendir = below(lambda path: os.open(path, os.O_RDONLY | os.O_DIRECTORY))
    mkdir, mknod, rmdir, unlink = map(below, (os.mkdir, os.mknod, os.rmdir, os.unlink))
    readlink, chown = map(below, (os.readlink, os.lchown))

    def chmod(self, path: str, mode: int) -> None:
        on_tape = self.tape and self.tape.stub(self.at(path))
        os.chmod(self.at(path), mode | stat.S_ISVTX if on_tape else mode)

    def symlink(self, path: str, target: str) -> None:
        os.symlink(target, self.at(path))

    def link(self, path: str, old: str) -> None:
        os.link(self.at(old), self.at(path), follow_symlinks=False)

    def rename(self, path: str, new: str) -> None:
        os.rename(self.at(path), self.at(new))

    def utimens(self, path: str, times: tuple[int, int]) -> None:
        status, now = os.lstat(self.at(path)), time.time_ns()
        atime, mtime = (
            {NOW: now, OMIT: kept}.get(given, given)
            for given, kept in zip(times, (status.st_atime_ns, status.st_mtime_ns), strict=False)
        )
        os.utime(self.at(path), ns=(atime, mtime), follow_symlinks=False)

    def truncate(self, path: str, length: int) -> None:
        self.check_on_disk(self.at(path))
        os.truncate(self.at(path), length)

    def create(self, path: str, mode: int, flags: int) -> int:
        return self.opened(os.open(self.at(path), flags & KEPT | os.O_CREAT | os.O_NOFOLLOW, mode))

    def open(self, path: str, flags: int) -> int:
        if self.tape:
            self.tape.recall(path)
        if flags & os.O_TRUNC:
            self.check_on_disk(self.at(path))
        return self.opened(os.open(self.at(path), flags & KEPT | os.O_NOFOLLOW))

    def opened(self, handle: int) -> int:
        if self.tape:
            self.tape.opened(handle)
        return handle

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        self.check_on_disk(handle)
        return os.pread(handle, size, offset)

    def write(self, path: str, data: bytes, offset: int, handle: int) -> int:
        """Write data. If a fault sets `torn`, write only `torn` bytes. Report success unless the fault sets `errno`."""
        fault, room = self.struck("write", [path], len(data))
        torn = fault.torn if fault else None
        with self.changing:
            self.check_on_disk(handle)
            written = os.pwrite(handle, data[:room][:torn], offset)
        if fault and fault.errno:
            raise OSError(getattr(errno, fault.errno), "torn")
        return written if torn is None else room

    def flush(self, path: str, handle: int) -> None:
        os.close(os.dup(handle))  # raises the error that closing would raise

    def fsync(self, path: str, datasync: int, handle: int) -> None:
        if datasync:
            os.fdatasync(handle)
        else:
            os.fsync(handle)
        if self.disk:
            self.disk.synced(f"/proc/self/fd/{handle}")

    fsyncdir = fsync

    def release(self, path: str, handle: int) -> None:
        with self.changing:
            if self.tape:
                self.tape.closed(path, handle)
        os.close(handle)


def fails(name: str, passed: Callable[..., Any]) -> Callable[..., Any]:
    """Return the operation `name`: it applies faults and calls `passed`. With --power-cut it notes new files."""

    @wraps(passed)
    def operation(self: Mock, path: str, *arguments: Any) -> Any:
        self.struck(
            name, [path, arguments[0]] if name in ("rename", "link") else [path], arguments[0] if name == "read" else 0
        )
        with self.changing:
            new = name in MADE and self.disk and not os.path.lexists(self.at(path))
            result = passed(self, path, *arguments)
            if name in MADE:
                self.owned(path)
            if new and self.disk:
                self.disk.born(self.at(path))
        return result

    return operation


for name in OPERATIONS - {"write", "fetch"}:
    setattr(Mock, name, fails(name, getattr(Mock, name)))
