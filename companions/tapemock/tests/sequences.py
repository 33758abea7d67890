"""Calls in a row, to be made at two places: each is (function, arguments…)."""

import ctypes
import fcntl
import mmap
import os
import stat

from calls import (EXCHANGE, HERE, NOREPLACE, allocate, as_nobody, attributes, extended, libc,
                   opened, rename2, sorted_names)

LONG = "x" * 255


def directories():
    yield os.mkdir, "d", 0o750
    yield os.mkdir, "d", 0o750
    yield os.mkdir, "none/d"
    yield os.mkdir, LONG
    yield os.mkdir, LONG + "x"
    yield os.rmdir, LONG
    yield os.rmdir, "none"
    yield os.unlink, "d"
    yield os.mkdir, "full"
    yield os.mkdir, "full/one"
    yield os.rmdir, "full"
    yield os.mkdir, b"\xff\xfe"
    yield sorted_names, "."


def made():
    """The file and the directory that others need."""
    yield opened, "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY
    yield os.mkdir, "d", 0o750


def files():
    yield from made()
    yield opened, "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY
    yield opened, "f", os.O_DIRECTORY
    yield opened, "d", os.O_WRONLY
    yield opened, "f/x", os.O_RDONLY
    yield os.mkdir, "f/x"
    yield os.rmdir, "f"
    yield os.unlink, "none"
    yield os.mkfifo, "fifo"
    yield os.mknod, "regular", 0o600 | stat.S_IFREG


def links():
    yield from made()
    yield os.symlink, "f", "s"
    yield os.symlink, "f", "s"
    yield os.symlink, "loop", "loop"
    yield os.stat, "loop"
    yield os.readlink, "s"
    yield os.readlink, "f"
    yield opened, "s", os.O_RDONLY | os.O_NOFOLLOW
    yield os.link, "f", "l"
    yield os.link, "f", "l"
    yield os.link, "d", "dl"
    yield os.link, "none", "n"


def renames():
    yield from made()
    yield os.link, "f", "l"
    yield os.rename, "f", "d"
    yield os.rename, "d", "f"
    yield os.rename, "d", "d/below"
    yield os.rename, "none", "n"
    yield os.rename, "f", "l"
    yield os.rename, "f", "moved"
    yield os.makedirs, "full/one"
    yield os.rename, "d", "full"
    yield os.rename, "full/one", "d"
    yield rename2, "moved", "l", NOREPLACE
    yield rename2, "moved", "d", EXCHANGE
    yield rename2, "moved", "new", NOREPLACE
    yield sorted_names, "."


def modes():
    yield opened, "f", os.O_CREAT | os.O_WRONLY, lambda handle: os.write(handle, b"12345"), 0o4755
    for mode in (0o1777, 0o2755, 0o4711, 0o000, 0o644):
        yield os.chmod, "f", mode
        yield attributes, "f"
    yield os.chmod, "none", 0o600
    yield os.utime, "f", (1, 2)
    yield only_now, "f"
    yield times, "f", (1_000_000_007, 2_000_000_000_000_000_009)
    yield times, "f", (-5_000_000_003, 7)
    yield os.truncate, "f", 3
    yield os.truncate, "f", 4097
    yield os.truncate, "f", -1
    yield os.truncate, "none", 1
    yield os.mkdir, "d"
    yield os.truncate, "d", 1
    yield os.setxattr, "f", "user.one", b"1"
    yield os.setxattr, "f", "user.one", b"2", os.XATTR_CREATE
    yield os.setxattr, "f", "user.two", b"2", os.XATTR_REPLACE
    yield os.getxattr, "f", "user.one"
    yield os.getxattr, "f", "user.none"
    yield os.removexattr, "f", "user.none"
    yield os.setxattr, "f", "user.large", b"x" * 1000
    yield os.setxattr, "f", "none.x", b"x"
    yield extended, "f"
    yield os.removexattr, "f", "user.one"


def times(path, ns):
    os.utime(path, ns=ns)
    found = os.stat(path)
    return found.st_atime_ns, found.st_mtime_ns


def only_now(path):
    """Sets one time to now, and leaves the other."""
    os.utime(path, (1, 2))
    now, omit = (ctypes.c_long * 4)(0, (1 << 30) - 1, 0, (1 << 30) - 2), os.stat(path).st_mtime
    assert libc.utimensat(HERE, os.fsencode(path), now, 0) == 0
    return os.stat(path).st_atime > 1_000_000_000, os.stat(path).st_mtime == omit == 2


def contents():
    both = os.O_CREAT | os.O_RDWR
    yield opened, "f", both, lambda handle: (os.pwrite(handle, b"end", 10_000), os.pread(handle, 5, 9_998))
    yield opened, "f", os.O_WRONLY | os.O_APPEND, lambda handle: (os.write(handle, b"more"), os.fstat(handle).st_size)
    yield opened, "f", os.O_WRONLY, lambda handle: os.read(handle, 1)
    yield opened, "f", os.O_RDONLY, lambda handle: os.write(handle, b"x")
    yield opened, "f", os.O_RDONLY, lambda handle: os.ftruncate(handle, 1)
    yield opened, "f", both, lambda handle: (allocate(handle, 0, 0, 50_000), os.fstat(handle).st_size)
    yield opened, "f", both, lambda handle: (allocate(handle, 1, 0, 90_000), os.fstat(handle).st_size)
    yield opened, "f", both, lambda handle: allocate(handle, 0, 0, 0)
    yield opened, "f", both, lambda handle: (os.fsync(handle), os.fdatasync(handle))
    yield opened, ".", os.O_RDONLY, os.fsync
    yield opened, "f", both, lambda handle: (os.unlink("f"), os.write(handle, b"still"), os.ftruncate(handle, 3),
                                             os.pread(handle, 9, 0), sorted_names("."))
    yield opened, "ro", both, lambda handle: (os.chmod("ro", 0o400), os.ftruncate(handle, 9), os.write(handle, b"x"))
    yield opened, "mapped", both, mapped
    yield opened, "f", both | os.O_TRUNC, lambda handle: os.fstat(handle).st_size
    yield opened, "f", os.O_RDONLY, lambda handle: fcntl.flock(handle, fcntl.LOCK_EX)


def mapped(handle):
    os.ftruncate(handle, 5000)
    with mmap.mmap(handle, 5000) as memory:
        memory[4990:4993] = b"yes"
        memory.flush()
    return os.pread(handle, 10, 4988)


def others():
    yield os.chmod, ".", 0o777
    yield opened, "roots", os.O_CREAT | os.O_WRONLY
    yield os.chmod, "roots", 0o600
    yield as_nobody, opened, "roots", os.O_RDONLY
    yield as_nobody, opened, "theirs", os.O_CREAT | os.O_WRONLY
    yield as_nobody, os.mkdir, "folder"
    yield as_nobody, os.symlink, "x", "link"
    yield as_nobody, os.mkfifo, "pipe"
    yield as_nobody, os.chown, "theirs", 0, 0
    yield as_nobody, os.chmod, "roots", 0o666
    yield as_nobody, os.unlink, "roots"
    yield as_nobody, os.truncate, "theirs", 5
    yield as_nobody, os.truncate, "theirs", 2
    yield attributes, "theirs"
    yield as_nobody, os.truncate, "roots", 0
    yield os.chmod, "roots", 0o644
    yield as_nobody, os.truncate, "roots", 0
    yield os.chown, "theirs", 1234, -1
    yield os.chown, "theirs", -1, 4321
    yield os.lchown, "link", 1, 1
    yield os.mkdir, "grouped"
    yield os.chown, "grouped", 0, 777
    yield os.chmod, "grouped", 0o2777
    yield as_nobody, opened, "grouped/theirs", os.O_CREAT | os.O_WRONLY
    yield as_nobody, os.mkdir, "grouped/folder"
    yield os.mkdir, "sticky"
    yield os.chmod, "sticky", 0o1777
    yield opened, "sticky/roots", os.O_CREAT | os.O_WRONLY
    yield as_nobody, os.unlink, "sticky/roots"
    yield as_nobody, os.rename, "sticky/roots", "sticky/theirs"
    yield os.mknod, "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3)
