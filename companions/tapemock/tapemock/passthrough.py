"""A directory as it is: what is asked of the mount is asked of the directory below."""

import ctypes
import os
import stat
from collections.abc import Iterator
from typing import Any

from mfusepy import FUSE, fuse_get_context  # type: ignore[import-untyped]

HIDDEN = ".fuse_hidden"  # libfuse renames to this what is removed while it is open
KEPT = os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_APPEND | os.O_ACCMODE | os.O_SYNC | os.O_NOATIME
HERE, NOT_ITS_TARGET = -100, 0x100  # AT_FDCWD, AT_SYMLINK_NOFOLLOW
libc = ctypes.CDLL(None, use_errno=True)


def below(path: str) -> str:
    """Relative to the directory, in which the program works: so it may be mounted over itself."""
    return "." + path


def done(result: int) -> int:
    """0 as of libc. Raises OSError for anything else."""
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return 0


def owned(path: str) -> None:
    """Root makes files for others: they are to own theirs."""
    if os.geteuid() == 0:
        uid, gid, _ = fuse_get_context()
        inherits = os.stat(os.path.dirname(path)).st_mode & stat.S_ISGID
        os.lchown(path, uid, -1 if inherits else gid)


def kind(entry: "os.DirEntry[str]") -> int:
    """Its type as st_mode has it, 0 where only lstat could tell."""
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0


class Fuse(FUSE):  # type: ignore[misc]
    """mfusepy leaves these three's flags, file handle and "as it is" of a time behind."""

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> Any:
        return self.operations.rename(os.fsdecode(old), os.fsdecode(new), flags)

    def truncate_fuse_3(self, path: bytes | None, length: int, info: Any) -> Any:
        return self.operations.truncate(os.fsdecode(path or b""), length, info.contents.fh if info else None)

    def utimens_fuse_3(self, path: bytes | None, times: Any, info: Any) -> Any:
        return self.operations.utimens(os.fsdecode(path or b""), times)


class PassThrough:
    use_ns = True

    def __init__(self, folder: str) -> None:
        self.folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def init(self, path: str) -> None:
        os.fchdir(self.folder)  # here, as libfuse goes to /
        os.umask(0)  # the kernel has applied the caller's

    def getattr(self, path: str, handle: int | None = None) -> dict[str, int]:
        found = os.lstat(below(path)) if handle is None else os.fstat(handle)
        names = "mode", "ino", "nlink", "uid", "gid", "rdev", "size", "blocks", "blksize"
        times = {f"st_{name}": getattr(found, f"st_{name}_ns") for name in ("atime", "mtime", "ctime")}
        return {f"st_{name}": getattr(found, f"st_{name}") for name in names} | times

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(below(path))
        return {name: getattr(found, name) for name in dir(found) if name.startswith("f_")}

    def opendir(self, path: str) -> int:
        return os.open(below(path), os.O_RDONLY | os.O_DIRECTORY)

    def readdir(self, path: str, handle: int) -> Iterator[tuple[str, dict[str, int], int]]:
        yield from ((name, {"st_mode": stat.S_IFDIR, "st_ino": os.fstat(handle).st_ino}, 0) for name in (".", ".."))
        with os.scandir(handle) as entries:
            yield from ((entry.name, {"st_mode": kind(entry), "st_ino": entry.inode()}, 0)
                        for entry in entries if not entry.name.startswith(HIDDEN))

    def releasedir(self, path: str, handle: int) -> None:
        os.close(handle)

    def fsyncdir(self, path: str, datasync: int, handle: int) -> None:
        os.fsync(handle)

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(below(path), mode)
        owned(below(path))

    def mknod(self, path: str, mode: int, device: int) -> None:
        os.mknod(below(path), mode, device)
        owned(below(path))

    def symlink(self, path: str, target: str) -> None:
        os.symlink(target, below(path))
        owned(below(path))

    def readlink(self, path: str) -> str:
        return os.readlink(below(path))

    def link(self, path: str, old: str) -> None:
        os.link(below(old), below(path), follow_symlinks=False)

    def unlink(self, path: str) -> None:
        os.unlink(below(path))

    def rmdir(self, path: str) -> None:
        os.rmdir(below(path))

    def rename(self, path: str, new: str, flags: int = 0) -> None:
        done(libc.renameat2(HERE, os.fsencode(below(path)), HERE, os.fsencode(below(new)), flags))

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(below(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(below(path), uid, gid)

    def utimens(self, path: str, times: Any) -> None:
        done(libc.utimensat(HERE, os.fsencode(below(path)), times, NOT_ITS_TARGET))

    def truncate(self, path: str, length: int, handle: int | None = None) -> None:
        os.truncate(below(path) if handle is None else handle, length)

    def create(self, path: str, mode: int, flags: int) -> int:
        handle = os.open(below(path), flags & KEPT | os.O_CREAT | os.O_NOFOLLOW, mode)
        owned(below(path))
        return handle

    def open(self, path: str, flags: int) -> int:
        return os.open(below(path), flags & KEPT | os.O_NOFOLLOW)

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        return os.pread(handle, size, offset)

    def write(self, path: str, data: bytes, offset: int, handle: int) -> int:
        return os.pwrite(handle, data, offset)

    def fallocate(self, path: str, mode: int, offset: int, size: int, handle: int) -> None:
        done(libc.fallocate(handle, mode, ctypes.c_int64(offset), ctypes.c_int64(size)))

    def flush(self, path: str, handle: int) -> None:
        os.close(os.dup(handle))  # says what closing says

    def fsync(self, path: str, datasync: int, handle: int) -> None:
        os.fdatasync(handle) if datasync else os.fsync(handle)

    def release(self, path: str, handle: int) -> None:
        os.close(handle)

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        os.setxattr(below(path), name, value, flags, follow_symlinks=False)

    def getxattr(self, path: str, name: str) -> bytes:
        return os.getxattr(below(path), name, follow_symlinks=False)

    def listxattr(self, path: str) -> list[str]:
        return os.listxattr(below(path), follow_symlinks=False)

    def removexattr(self, path: str, name: str) -> None:
        os.removexattr(below(path), name, follow_symlinks=False)
