"""The mount does what the file system below does, for many callers at once, and always ends cleanly."""

import os
import subprocess
import sys
import time

import pytest
from tapemock.mounted import Refused, mounted

from conftest import on, raised
from proc import wait_until

LONG, CREATE = "x" * 256, os.O_CREAT | os.O_EXCL | os.O_RDWR


def calls():
    """Yield the calls (function, arguments…) that the test makes in both folders, in order."""
    yield os.mkdir, "d", 0o750
    yield from [(os.mkdir, "d"), (os.mkdir, "none/d"), (os.mkdir, LONG), (os.rmdir, "none"), (os.unlink, "d")]
    yield from [(os.makedirs, "full/one"), (os.rmdir, "full"), (os.mkdir, b"\xff\xfe")]
    yield on, "f", lambda handle: (os.write(handle, b"12345"), os.pread(handle, 3, 1)), CREATE
    yield from [(on, "f", len, CREATE), (on, "f", len, os.O_DIRECTORY), (on, "d", len, os.O_WRONLY), (os.rmdir, "f")]
    yield on, "f", lambda handle: (os.write(handle, b"67"), os.fsync(handle)), os.O_WRONLY | os.O_APPEND
    yield on, "f", lambda handle: os.write(handle, b"x"), os.O_RDONLY
    yield on, "f", lambda handle: (os.pwrite(handle, b"end", 10_000), os.pread(handle, 5, 9_998))
    yield on, "open", lambda handle: (os.unlink("open"), os.write(handle, b"still"), os.pread(handle, 9, 0)), CREATE
    yield from [(os.symlink, "f", "s"), (os.symlink, "f", "s"), (os.readlink, "s"), (os.readlink, "f")]
    yield from [(os.symlink, "loop", "loop"), (os.stat, "loop"), (on, "s", len, os.O_RDONLY | os.O_NOFOLLOW)]
    yield from [(os.link, "f", "l"), (os.link, "f", "l"), (os.link, "d", "dl"), (os.rename, "f", "d")]
    yield from [(os.rename, *names.split()) for names in ("d f", "d full", "none n", "f l", "l moved")]
    yield from [(os.mkfifo, "fifo"), (os.chmod, "moved", 0o4711), (os.chmod, "none", 0o600), (os.truncate, "d", 1)]
    yield from [(os.truncate, "moved", 9), (os.truncate, "moved", -1), (os.chown, "moved", -1, -1)]
    yield times, "moved", (1_000_000_007, 2_000_000_000_000_000_009)
    yield times, "moved", (-5_000_000_003, 7)


def times(path, ns):
    os.utime(path, ns=ns)
    return os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns


def result(call, *arguments):
    seen = []
    return raised(lambda: seen.append(call(*arguments))) or seen


def tree(root):
    """Return {path: its mode, links, owner, group and content} of all below `root`."""

    def seen(path):
        found = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        return oct(found.st_mode), found.st_nlink, found.st_uid, found.st_gid, content

    return {str(path.relative_to(root)): seen(path) for path in root.rglob("*")}


def test_the_same_calls_at_both_have_the_same_results(tapemock, tmp_path, monkeypatch):
    (tmp_path / "known").mkdir()
    for number, (call, *arguments) in enumerate(calls()):
        seen = []
        for folder in (tmp_path / "known", tapemock.mount):
            monkeypatch.chdir(folder)
            seen.append(result(call, *arguments))
        assert seen[0] == seen[1], f"call {number}: {call.__name__}{tuple(arguments)}"
    monkeypatch.chdir(tmp_path)
    assert tree(tapemock.mount) == tree(tmp_path / "known") == tree(tapemock.source)
    os.utime(tapemock.mount / "moved", (1, 2))
    subprocess.run(["touch", "-m", tapemock.mount / "moved"], check=True)
    assert os.stat(tapemock.mount / "moved").st_atime == 1 and time.time() - os.stat("mount/moved").st_mtime < 600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_what_others_make_is_theirs_and_what_is_not_theirs_is_shut(tapemock, tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (tapemock.mount / "roots").touch(0o600)
    tapemock.mount.chmod(0o777)
    script = "touch f; mkdir d; ln -s x l; cat roots || echo shut"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=tapemock.mount,
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "shut\n", done.stderr
    assert {os.lstat(tapemock.source / name).st_uid for name in "fdl"} == {65534}


def test_a_rename_that_would_exchange_is_refused(tapemock):
    for name in ("one", "two"):
        (tapemock.mount / name).write_text(name)
    script = "import ctypes, sys; sys.exit(ctypes.CDLL(None).renameat2(-100, b'one', -100, b'two', 2) != -1)"
    subprocess.run([sys.executable, "-c", script], cwd=tapemock.mount, check=True)
    assert (tapemock.mount / "one").read_text() == "one"


def test_term_unmounts_though_a_file_is_open_and_a_call_waits(tapemock):
    """A call that waits gets an error at once."""
    for name in ("f", "slow"):
        (tapemock.source / name).touch()
    tapemock.ask("POST", "/faults", path="slow", delay=600)
    handle = os.open(tapemock.mount / "f", os.O_RDONLY)
    with subprocess.Popen(["cat", tapemock.mount / "slow"], stderr=subprocess.DEVNULL) as waiting:
        wait_until(tapemock.log)
        tapemock.process.terminate()
        assert tapemock.process.wait(60) == 0 and waiting.wait(60) == 1
    assert raised(os.close, handle) == "ENOTCONN" and not os.path.ismount(tapemock.mount)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--http", "192.0.2.1:80"], "^tapemock: .*Cannot assign requested address$"),
        (["--http", "x"], "invalid address"),
        (["--tape", "/tmp", "--power-cut"], "not allowed with"),
        (["--tape", "/none"], "No such file"),
    ],
)
def test_one_line_says_why_it_cannot_begin(options, message, tmp_path):
    with pytest.raises(Refused, match=message), mounted(tmp_path, tmp_path, *options):
        pass
