"""The mount does what the file system below does: the same calls on both, the same results."""

import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from proc import wait_until
from tapemock.mounted import Refused, ended, mounted

libc = ctypes.CDLL(None, use_errno=True)
LONG = "x" * 255
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


def names():
    yield os.mkdir, "d", 0o750
    yield os.mkdir, "d", 0o750
    yield os.mkdir, "none/d"
    yield os.mkdir, LONG
    yield os.mkdir, LONG + "x"
    yield os.rmdir, LONG
    yield os.rmdir, "none"
    yield opened, "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY
    yield opened, "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY
    yield opened, "f", os.O_DIRECTORY
    yield opened, "d", os.O_WRONLY
    yield opened, "f/x", os.O_RDONLY
    yield os.mkdir, "f/x"
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
    yield os.rmdir, "f"
    yield os.unlink, "d"
    yield os.mkfifo, "fifo"
    yield os.mknod, "regular", 0o600 | stat.S_IFREG
    yield os.rename, "f", "d"
    yield os.rename, "d", "f"
    yield os.rename, "d", "d/below"
    yield os.rename, "none", "n"
    yield os.rename, "f", "l"
    yield os.rename, "f", "moved"
    yield os.mkdir, "full"
    yield os.mkdir, "full/one"
    yield os.rmdir, "full"
    yield os.rename, "d", "full"
    yield os.rename, "full/one", "d"
    yield rename2, "moved", "l", NOREPLACE
    yield rename2, "moved", "d", EXCHANGE
    yield rename2, "moved", "new", NOREPLACE
    yield sorted_names, "."
    yield os.unlink, "none"
    yield os.mkdir, b"\xff\xfe"
    yield sorted_names, "."


def sorted_names(folder):
    return sorted(os.listdir(folder))


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


@pytest.mark.parametrize("calls", [names, modes, contents, others])
def test_the_same_calls_on_both_have_the_same_results(calls, tapemock, tmp_path, monkeypatch):
    if calls is others and os.geteuid():
        pytest.skip("only root can be another user")
    known = tmp_path / "known"
    known.mkdir()
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    for number, (call, *arguments) in enumerate(calls()):
        seen = []
        for folder in (known, tapemock.mount):
            monkeypatch.chdir(folder)
            seen.append(told(result(call, *arguments)))
        assert seen[0] == seen[1], f"call {number}: {call.__name__}{tuple(arguments)}"
    monkeypatch.chdir(tmp_path)
    assert tree(tapemock.mount) == tree(known) == tree(tapemock.source)


def told(value):
    """A result without what differs between two places."""
    return attributes_of(value) if isinstance(value, os.stat_result) else value


def attributes_of(found):
    return found.st_mode, found.st_nlink, found.st_size


def test_listing_tells_types_and_inodes(tapemock):
    (tapemock.source / "folder").mkdir()
    (tapemock.source / "file").touch()
    (tapemock.source / "link").symlink_to("file")
    os.mkfifo(tapemock.source / "fifo")

    def listed(folder):
        with os.scandir(folder) as entries:
            return {entry.name: (entry.is_dir(follow_symlinks=False), entry.is_symlink(), entry.inode())
                    for entry in entries}
    assert listed(tapemock.mount) == listed(tapemock.source)


WRITER = """
import os, sys
name, number = sys.argv[1], int(sys.argv[2])
own = os.open(f"{name}-{number}", os.O_CREAT | os.O_WRONLY)
shared = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
for line in range(100):
    os.write(own, bytes([number]) * 10_000)
    os.write(shared, b"%02d %03d\\n" % (number, line))
os.fsync(own)
"""


def test_20_writers_at_once_lose_nothing(tapemock):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, "shared", str(number)], cwd=tapemock.mount)
               for number in range(20)]
    assert [writer.wait(60) for writer in writers] == [0] * 20
    for folder in (tapemock.mount, tapemock.source):
        lines = (folder / "shared").read_text().splitlines()
        assert sorted(lines) == [f"{number:02} {line:03}" for number in range(20) for line in range(100)]
        for number in range(20):
            assert (folder / f"shared-{number}").read_bytes() == bytes([number]) * 1_000_000


def test_a_large_file_comes_back_and_memory_stays_flat(tapemock):
    (tapemock.mount / "small").write_bytes(b"x" * 1_000_000)
    before, written = peak(tapemock.process), hashlib.sha256()
    block = os.urandom(1 << 20)
    with open(tapemock.mount / "large", "wb", buffering=0) as file:
        for number in range(300):
            block = number.to_bytes(8, "big") + block[8:]
            written.update(block)
            assert file.write(block) == len(block)
    for folder in (tapemock.mount, tapemock.source):
        with open(folder / "large", "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == written.hexdigest()
    assert peak(tapemock.process) - before < 40_000


def peak(process):
    """kB that it took at most."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])


def test_sqlite_works_on_it(tapemock):
    with sqlite3.connect(tapemock.mount / "db.sqlite3") as base:
        assert base.execute("pragma journal_mode=wal").fetchone() == ("wal",)
        base.execute("create table t (n)")
        base.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    with sqlite3.connect(tapemock.mount / "db.sqlite3") as other:
        assert other.execute("select sum(n) from t").fetchone() == (499500,)
    base.close()
    other.close()
    with sqlite3.connect(tapemock.source / "db.sqlite3") as below:
        assert below.execute("pragma integrity_check").fetchone() == ("ok",)


def test_what_changes_below_is_seen(tapemock):
    (tapemock.mount / "f").write_text("one")
    (tapemock.source / "f").write_text("other")
    assert (tapemock.mount / "f").read_text() == "other"
    os.rename(tapemock.source / "f", tapemock.source / "g")
    assert os.listdir(tapemock.mount) == ["g"]
    assert not (tapemock.mount / "f").exists()


def test_term_unmounts_though_a_file_is_open_and_a_call_waits(tapemock):
    (tapemock.source / "f").write_text("x")
    (tapemock.source / "slow").touch()
    tapemock.ask("POST", "/faults", path="slow", delay=600)
    handle = os.open(tapemock.mount / "f", os.O_RDONLY)
    with subprocess.Popen(["cat", tapemock.mount / "slow"], stderr=subprocess.DEVNULL) as waiting:
        wait_until(tapemock.log)
        tapemock.process.terminate()
        assert tapemock.process.wait(10) == 0
        waiting.wait(10)
    assert result(os.close, handle) == "ENOTCONN"
    assert not os.path.ismount(tapemock.mount)


def test_one_that_hangs_is_killed_and_unmounted(tapemock):
    tapemock.process.send_signal(signal.SIGSTOP)
    ended(tapemock.process, tapemock.mount, .2)
    assert tapemock.process.returncode == -signal.SIGKILL and not os.path.ismount(tapemock.mount)


def test_unmounted_by_another_it_ends(tapemock):
    subprocess.run(["fusermount3", "-u", tapemock.mount], check=True)
    assert tapemock.process.wait(10) == 0


def test_over_itself(tmp_path):
    (tmp_path / "f").write_text("x")
    with mounted(tmp_path, tmp_path) as running:
        assert os.path.ismount(tmp_path) and (tmp_path / "f").read_text() == "x"
        with running.failing("f", errno="EIO"), pytest.raises(OSError):
            (tmp_path / "f").read_text()
    assert (tmp_path / "f").read_text() == "x"


def test_one_line_says_why_it_cannot_begin(tmp_path):
    with pytest.raises(Refused, match="^tapemock: .*Cannot assign requested address$"), \
            mounted(tmp_path, tmp_path, "--http", "192.0.2.1:80"):
        pass
