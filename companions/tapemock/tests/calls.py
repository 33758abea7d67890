"""Calls of a file system, and what of their results is the same at two places."""

import ctypes
import errno
import os
import stat

libc = ctypes.CDLL(None, use_errno=True)
HERE, EXCHANGE, NOREPLACE = -100, 2, 1


def result(call, *arguments):
    """What the call returns, or the name of its errno."""
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def attributes(path):
    """What stays the same when the calls are made at another place and time."""
    found = result(os.lstat, path)
    if isinstance(found, str):
        return found
    size = found.st_size if not stat.S_ISDIR(found.st_mode) else None
    return oct(found.st_mode), found.st_nlink, found.st_uid, found.st_gid, size, found.st_rdev


def tree(root):
    """{path: (attributes, content, extended attributes)} of all below."""
    def content(path):
        if path.is_symlink():
            return os.readlink(path)
        return path.read_bytes() if path.is_file() else None
    return {str(path.relative_to(root)): (attributes(path), content(path), result(extended, path))
            for path in sorted(root.rglob("*"))}


def extended(path):
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}


def opened(name, flags, then=lambda handle: None, mode=0o644):
    handle = os.open(name, flags, mode)
    try:
        return then(handle)
    finally:
        os.close(handle)


def rename2(old, new, flags):
    if libc.renameat2(HERE, os.fsencode(old), HERE, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), "")


def allocate(handle, mode, offset, size):
    if libc.fallocate(handle, mode, ctypes.c_int64(offset), ctypes.c_int64(size)):
        raise OSError(ctypes.get_errno(), "")


def as_nobody(call, *arguments):
    """In a process of another user."""
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        os.write(writer, repr(result(call, *arguments)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return pipe.read()


def sorted_names(folder):
    return sorted(os.listdir(folder))
