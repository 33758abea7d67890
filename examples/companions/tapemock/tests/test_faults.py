"""Tests of operations that fail by rules, seen from programs that use the mount."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from tapemock.mounted import FOLDER, Refused

from conftest import on, raised
from proc import wait_until


@pytest.fixture
def file(tapemock):
    path = tapemock.mount / "media" / "f.jpg"
    path.parent.mkdir()
    path.write_bytes(b"0123456789" * 1000)
    return path


CALLS = {
    "chmod": lambda path: os.chmod(path, 0o600),
    "chown": lambda path: os.chown(path, 0, 0),
    "create": lambda path: open(f"{path}.new", "x"),  # noqa: SIM115  only the call counts
    "fsync": lambda path: on(path, os.fsync),
    "flush": lambda path: on(path, id),
    "getattr": os.stat,
    "open": lambda path: on(path, id),
    "fsyncdir": lambda path: on(path.parent, os.fsync, os.O_RDONLY),
    "link": lambda path: os.link(path, f"{path}.link"),
    "mkdir": lambda path: os.mkdir(f"{path}.d"),
    "mknod": lambda path: os.mkfifo(f"{path}.p"),
    "opendir": lambda path: os.listdir(path.parent),
    "read": lambda path: path.read_bytes(),
    "readdir": lambda path: os.listdir(path.parent),
    "readlink": lambda path: os.readlink(path.with_name("link")),
    "rename": lambda path: os.rename(path, f"{path}.new"),
    "rmdir": lambda path: os.rmdir(path.with_name("empty")),
    "statfs": os.statvfs,
    "symlink": lambda path: os.symlink("x", f"{path}.s"),
    "truncate": lambda path: os.truncate(path, 3),
    "unlink": os.unlink,
    "utimens": lambda path: os.utime(path, (1, 1)),
    "write": lambda path: on(path, lambda handle: os.write(handle, b"x")),
}


def test_each_operation_fails_and_then_works(tapemock, file):
    file.with_name("link").symlink_to("f.jpg")
    file.with_name("empty").mkdir()
    for operation, call in sorted(CALLS.items(), key=lambda one: one[0] == "unlink"):
        with tapemock.failing("media*", operation, errno="EDQUOT"):
            assert raised(call, file) == "EDQUOT", operation
        assert tapemock.log()[-1]["what"] == operation and tapemock.log()[-1]["errno"] == "EDQUOT"
        assert raised(call, file) is None, operation
        if operation == "rename":
            os.rename(f"{file}.new", file)


def test_only_what_the_pattern_names(tapemock, file):
    with tapemock.failing("media/*.jpg", ["read", "rename"], errno="EIO"):
        assert raised(file.read_bytes) == "EIO"
        (tapemock.mount / "other.jpg").write_text("x")
        assert (tapemock.mount / "other.jpg").read_text() == "x"


def test_by_count(tapemock, file):
    with tapemock.failing(operation="open", errno="EMFILE", count=2):
        assert [raised(file.read_bytes) for _ in range(4)] == ["EMFILE", "EMFILE", None, None]
        assert tapemock.ask("GET", "/faults")[0]["struck"] == 2


def test_a_disk_that_is_full_after_so_many_bytes(tapemock):
    with (
        tapemock.failing("*", "write", errno="ENOSPC", after=25_000),
        open(tapemock.mount / "f", "wb", buffering=0) as file,
    ):
        assert [file.write(b"x" * 10_000) for _ in range(3)] == [10_000, 10_000, 5_000]
        assert raised(file.write, b"x") == "ENOSPC"
    assert (tapemock.source / "f").stat().st_size == 25_000


def test_others_do_not_wait_for_what_is_delayed(tapemock, file):
    with tapemock.failing("media/f.jpg", "open", delay=10):
        readers = [subprocess.Popen(["cat", file], stdout=subprocess.DEVNULL) for _ in range(20)]
        wait_until(lambda: len(tapemock.log()) == 20)
        (tapemock.mount / "other").write_text("x")
        assert all(reader.poll() is None for reader in readers)
        assert [reader.wait(60) for reader in readers] == [0] * 20


@pytest.mark.parametrize("extra, errno", [({}, None), ({"errno": "EIO"}, "EIO")])
def test_a_torn_write_is_said_to_be_whole_or_fails(extra, errno, tapemock, file):
    with tapemock.failing("media/*", "write", torn=100, **extra):
        assert raised(on, file, lambda handle: os.write(handle, b"y" * 3000) == 3000 or pytest.fail()) == errno
    assert file.read_bytes() == b"y" * 100 + (b"0123456789" * 1000)[100:]


def test_the_oldest_of_two_faults(tapemock, file):
    with tapemock.failing(operation="open", errno="EACCES", delay=0.2), tapemock.failing(operation="open", errno="EIO"):
        began = time.monotonic()
        assert raised(file.read_bytes) == "EACCES" and time.monotonic() - began >= 0.2
        assert tapemock.log()[-1]["path"] == "/media/f.jpg" and tapemock.log()[-1]["fault"] == 1
        tapemock.ask("DELETE", "/faults")
        assert tapemock.ask("GET", "/faults") == [] and raised(file.read_bytes) is None


@pytest.mark.parametrize(
    "given, message",
    [
        ({"errno": "ENONE"}, "errno.*should be a name"),
        ({"errno": 5}, "errno.*valid string"),
        ({"operation": "reed", "errno": "EIO"}, "operation 0 Input should be 'chmod', "),
        ({"delay": -1}, "delay.*greater"),
        ({"delay": True}, "delay.*valid number"),
        ({"delay": float("nan")}, "delay.*finite"),
        ({"torn": 1.5}, "torn.*valid integer"),
        ({"errors": 1}, "errors Extra"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(given, message, tapemock):
    with pytest.raises(Refused, match=message):
        tapemock.ask("POST", "/faults", **given)
    assert tapemock.ask("GET", "/faults") == []


def test_what_the_api_does_not_know(tapemock):
    for method, path, said in [
        ("GET", "/none", "no such address"),
        ("DELETE", "/faults/x", "no such address"),
        ("POST", "/power-cut", "--power-cut"),
        ("POST", "/fetch", "need --tape"),
    ]:
        with pytest.raises(Refused, match=said):
            tapemock.ask(method, path)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(tapemock.url + "/faults", b"{", timeout=10)


def test_the_readmes_test_works(tmp_path):
    readme = (FOLDER / "README.md").read_text().partition("## In tests")[2].partition("\n## ")[0]
    example = "\n".join(line[4:] for line in readme.splitlines() if line.startswith("    ") or not line)
    (tmp_path / "test_it.py").write_text(example)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_it.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout
