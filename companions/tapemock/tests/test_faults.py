"""Operations that fail as they are told to, seen by programs that use the mount."""

import errno
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from proc import wait_until
from tapemock.mounted import FOLDER, Refused, mounted


def raised(call, *arguments):
    """The name of the errno that the call fails with, None where it works."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


@pytest.fixture
def file(tapemock):
    path = tapemock.mount / "media" / "f.jpg"
    path.parent.mkdir()
    path.write_bytes(b"0123456789" * 1000)
    return path


CALLS = {
    "chmod": lambda path: os.chmod(path, 0o600), "chown": lambda path: os.chown(path, 0, 0),
    "create": lambda path: open(f"{path}.new", "x"), "fsync": lambda path: on(path, os.fsync),
    "fallocate": lambda path: on(path, lambda handle: os.posix_fallocate(handle, 0, 10)),
    "flush": lambda path: on(path, lambda handle: None), "getattr": os.stat,
    "fsyncdir": lambda path: on(path.parent, os.fsync, os.O_RDONLY),
    "getxattr": lambda path: os.getxattr(path, "user.x"), "link": lambda path: os.link(path, f"{path}.link"),
    "listxattr": os.listxattr, "mkdir": lambda path: os.mkdir(f"{path}.d"),
    "mknod": lambda path: os.mkfifo(f"{path}.p"),
    "open": lambda path: on(path, lambda handle: None), "opendir": lambda path: os.listdir(path.parent),
    "read": lambda path: path.read_bytes(), "readdir": lambda path: os.listdir(path.parent),
    "readlink": lambda path: os.readlink(path.with_name("link")),
    "removexattr": lambda path: os.removexattr(path, "user.x"),
    "rename": lambda path: os.rename(path, f"{path}.new"), "rmdir": lambda path: os.rmdir(path.with_name("empty")),
    "setxattr": lambda path: os.setxattr(path, "user.x", b"2"), "statfs": os.statvfs,
    "symlink": lambda path: os.symlink("x", f"{path}.s"), "truncate": lambda path: os.truncate(path, 3),
    "unlink": os.unlink, "utimens": lambda path: os.utime(path, (1, 1)),
    "write": lambda path: on(path, lambda handle: os.write(handle, b"x")),
}


def on(path, call, flags=os.O_RDWR):
    handle = os.open(path, flags)
    try:
        call(handle)
    finally:
        os.close(handle)


@pytest.mark.parametrize("operation", CALLS)
def test_the_operation_fails_and_then_works(operation, tapemock, file):
    os.setxattr(file, "user.x", b"1")
    file.with_name("link").symlink_to("f.jpg")
    file.with_name("empty").mkdir()
    with tapemock.failing("media*", operation, errno="EDQUOT"):
        assert raised(CALLS[operation], file) == "EDQUOT"
    assert tapemock.log()[-1]["what"] == operation and tapemock.log()[-1]["errno"] == "EDQUOT"
    assert raised(CALLS[operation], file) is None


def test_only_what_the_pattern_names(tapemock, file):
    with tapemock.failing("media/*.jpg", ["read", "rename"], errno="EIO"):
        assert raised(file.read_bytes) == "EIO"
        assert raised(file.rename, tapemock.mount / "elsewhere") == "EIO"
        (tapemock.mount / "other").write_text("x")
        assert raised(os.rename, tapemock.mount / "other", tapemock.mount / "media" / "g.jpg") == "EIO"
        assert (tapemock.mount / "other").read_text() == "x"


def test_by_count(tapemock, file):
    with tapemock.failing(operation="open", errno="EMFILE", count=2):
        assert [raised(file.read_bytes) for _ in range(4)] == ["EMFILE", "EMFILE", None, None]
        assert tapemock.state()["faults"][0]["struck"] == 2


def test_by_rate_and_the_same_with_the_same_seed(tmp_path):
    seen = []
    for _ in range(2):
        with mounted(tmp_path / "source", tmp_path / "mount", "--seed", "7") as running:
            (running.source / "f").touch()
            with running.failing("f", "open", errno="EIO", rate=.3):
                seen.append([raised((running.mount / "f").read_bytes) for _ in range(200)])
    assert seen[0] == seen[1] and 30 <= seen[0].count("EIO") <= 90


def test_a_disk_that_is_full_after_so_many_bytes(tapemock):
    with tapemock.failing("*", "write", errno="ENOSPC", after=25_000):
        with open(tapemock.mount / "f", "wb", buffering=0) as file:
            assert [file.write(b"x" * 10_000), file.write(b"x" * 10_000), file.write(b"x" * 10_000)] \
                == [10_000, 10_000, 5_000]
            assert raised(file.write, b"x") == "ENOSPC"
    assert (tapemock.source / "f").stat().st_size == 25_000
    with tapemock.failing("*", "write", errno="ENOSPC", after=25_000):
        done = subprocess.run(["dd", "if=/dev/zero", f"of={tapemock.mount}/g", "bs=1M", "count=1"], capture_output=True)
        assert done.returncode and b"No space left on device" in done.stderr


def test_the_readmes_test_works(tmp_path):
    readme = (FOLDER / "README.md").read_text().partition("## In tests")[2].partition("\n## ")[0]
    example = "\n".join(line[4:] for line in readme.splitlines() if line.startswith("    ") or not line)
    (tmp_path / "test_it.py").write_text(example)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "test_it.py"], cwd=tmp_path, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(FOLDER)})
    assert "1 passed" in done.stdout, done.stdout


def test_reads_fail_after_so_many_bytes(tapemock):
    (tapemock.source / "f").write_bytes(os.urandom(2_000_000))
    with tapemock.failing("f", "read", errno="EIO", after=1_000_000):
        done = subprocess.run(["cat", tapemock.mount / "f"], capture_output=True)
    assert done.returncode and b"Input/output error" in done.stderr and 500_000 < len(done.stdout) <= 1_000_000


def test_a_delay(tapemock, file):
    with tapemock.failing("media/f.jpg", "open", delay=.3):
        began = time.monotonic()
        file.read_bytes()
        assert time.monotonic() - began >= .3


def test_others_do_not_wait_for_what_is_delayed(tapemock, file):
    with tapemock.failing("media/f.jpg", "open", delay=3):
        readers = [subprocess.Popen(["cat", file], stdout=subprocess.DEVNULL) for _ in range(20)]
        wait_until(lambda: len(tapemock.log()) == 20)
        (tapemock.mount / "other").write_text("x")
        assert (tapemock.mount / "other").read_text() == "x"
        assert all(reader.poll() is None for reader in readers)
        assert [reader.wait(20) for reader in readers] == [0] * 20


def test_a_torn_write_says_that_it_is_whole(tapemock, file):
    with tapemock.failing("media/*", "write", torn=100):
        on(file, lambda handle: os.write(handle, b"y" * 3000) == 3000 or pytest.fail())
    assert file.read_bytes() == b"y" * 100 + (b"0123456789" * 1000)[100:]


def test_a_torn_write_that_fails(tapemock, file):
    with tapemock.failing("media/*", "write", torn=100, errno="EIO"):
        assert raised(on, file, lambda handle: os.write(handle, b"y" * 3000)) == "EIO"
    assert file.read_bytes() == b"y" * 100 + (b"0123456789" * 1000)[100:]


def test_bits_flip_when_read_and_when_written(tapemock, file):
    whole = file.read_bytes()
    with tapemock.failing("media/*", "read", flip=1):
        assert differing(file.read_bytes(), whole) == 1
    assert file.read_bytes() == whole
    with tapemock.failing("media/*", "write", flip=1):
        file.write_bytes(whole)
    assert differing(file.read_bytes(), whole) == 1


def differing(one, other):
    """Bits."""
    assert len(one) == len(other)
    return sum((a ^ b).bit_count() for a, b in zip(one, other))


def test_two_faults_on_one_operation(tapemock, file):
    with tapemock.failing(operation="open", delay=.2), tapemock.failing(operation="open", errno="EACCES"):
        began = time.monotonic()
        assert raised(file.read_bytes) == "EACCES" and time.monotonic() - began >= .2


def test_the_log_goes_on_from_a_number(tapemock, file):
    with tapemock.failing("media/f.jpg", "open", errno="EIO") as fault:
        raised(file.read_bytes)
        first, = tapemock.log()
        raised(file.read_bytes)
    second, = tapemock.log(after=first["number"])
    assert second["path"] == "/media/f.jpg" and second["faults"] == [fault["id"]] and second["time"] >= first["time"]


@pytest.mark.parametrize("given, said", [
    ({"errno": "ENONE"}, "errno should be a name"), ({"errno": 5}, "errno should be a name"),
    ({"errno": "errorcode"}, "errno should be a name"), ({"path": 3, "errno": "EIO"}, "path should be a pattern"),
    ({"operation": "reed", "errno": "EIO"}, "operation should be of: chmod chown"), ({}, "should have one of errno"),
    ({"operation": [["read"]], "errno": "EIO"}, "operation should be of: chmod chown"),
    ({"operation": {}, "errno": "EIO"}, "operation should be of: chmod chown"),
    ({"delay": -1}, "delay should be"), ({"flip": 1.5}, "flip should be a whole number from 1"),
    ({"torn": "x"}, "torn should"),
    ({"delay": True}, "delay should be"), ({"delay": float("nan")}, "delay should be"),
    ({"rate": 2, "errno": "EIO"}, "rate should be"), ({"flip": 10**9}, "flip should be"),
    ({"count": 0, "errno": "EIO"}, "count should be a whole number from 1"), ({"errors": 1}, "'errors' is nothing")])
def test_a_fault_that_cannot_be_is_refused(given, said, tapemock):
    with pytest.raises(Refused, match=said):
        tapemock.ask("POST", "/faults", **given)
    assert tapemock.state()["faults"] == []


def test_what_the_api_does_not_know(tapemock):
    for method, path, said in [("GET", "/none", "no such address"), ("DELETE", "/faults/7", "there is no fault 7"),
                               ("DELETE", "/faults/x", "no such address"), ("POST", "/log", "no such address")]:
        with pytest.raises(Refused, match=said):
            tapemock.ask(method, path)
    for body in (b"{", b"[]", b"\xff", b"[" * 100_000):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(tapemock.url + "/faults", body, timeout=10)
        assert error.value.code == 400 and json.load(error.value)["error"]


def test_all_faults_end_at_once(tapemock, file):
    for _ in range(3):
        tapemock.ask("POST", "/faults", errno="EIO")
    tapemock.ask("DELETE", "/faults")
    assert tapemock.ask("GET", "/faults") == [] and raised(file.read_bytes) is None


def test_the_disk_below_hangs(tapemock, tmp_path):
    """TERM ends tapemock in seconds all the same, and takes the mount away: who waited for it has an error."""
    (tapemock.mount / "file").write_text("text")
    with tapemock.failing("*file", "read", delay=60), mounted(tapemock.mount, tmp_path / "outer") as outer:
        with subprocess.Popen(["cat", outer.mount / "file"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as cat:
            wait_until(tapemock.log)
            outer.process.terminate()
            assert outer.process.wait(9) == 1
            assert cat.communicate(timeout=5)[0] == b"" and cat.returncode == 1
        assert not os.path.ismount(tmp_path / "outer")
