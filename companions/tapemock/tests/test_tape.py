"""What is on tape cannot be read until it has been fetched, and is then what it was."""

import errno
import hashlib
import os
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from proc import wait_until
from tapemock.mounted import Refused, mounted


@pytest.fixture
def tape(tmp_path):
    (tmp_path / "tape").mkdir()
    with mounted(tmp_path / "source", tmp_path / "mount", "--tape", str(tmp_path / "tape")) as running:
        yield running
        assert "Traceback" not in running.said()


def raised(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def state(tape, path):
    return tape.ask("GET", f"/tape/{path}")["state"]


def fetched(tape, path, **how):
    tape.fetch(path, **how)
    wait_until(lambda: state(tape, path) == "both")


def test_an_archived_file_is_a_stub_until_it_is_fetched(tape):
    path, content = tape.mount / "film", os.urandom(3_000_000)
    path.write_bytes(content)
    os.utime(path, ns=(1, 5_000_000_007))
    assert state(tape, "film") == "disk"
    assert tape.archive("film")["state"] == "tape"
    found = path.stat()
    assert found.st_mode == stat.S_IFREG | 0o1644 and found.st_size == 3_000_000 and found.st_blocks == 0
    assert found.st_mtime_ns == 5_000_000_007
    assert raised(path.read_bytes) == "EIO"
    fetched(tape, "film")
    assert path.read_bytes() == content
    assert path.stat().st_mode == stat.S_IFREG | 0o644 and path.stat().st_mtime_ns == 5_000_000_007
    assert [entry["what"] for entry in tape.log()] == ["archived", "fetched"]
    assert tape.log()[1]["checksum"] == hashlib.sha256(content).hexdigest()


def test_fetching_takes_as_long_as_it_is_told_to(tape):
    (tape.mount / "f").write_text("x")
    tape.archive("f")
    with open(tape.mount / "f", "rb", buffering=0) as file:
        began = time.monotonic()
        assert tape.fetch("f", delay=.5)["state"] == "fetching"
        assert tape.fetch("f")["state"] == "fetching"  # the first counts
        assert raised(file.read) == "EIO"
        wait_until(lambda: state(tape, "f") == "both")
        assert time.monotonic() - began >= .5
        assert file.read() == b"x"  # by the handle of the stub
    assert [entry["what"] for entry in tape.log()] == ["archived", "fetched"]


def test_the_stub_cannot_be_changed_but_moved_and_removed(tape):
    path = tape.mount / "f"
    path.write_text("content")
    tape.archive("f")
    assert [raised(os.truncate, path, 0), raised(path.write_text, "x"), raised(append, path)] == ["EIO"] * 3
    assert raised(os.removexattr, path, "user.tapemock") == "EPERM"
    path.chmod(0o600)
    assert path.stat().st_mode == stat.S_IFREG | 0o1600
    path.rename(tape.mount / "g")
    (tape.mount / "link").hardlink_to(tape.mount / "g")
    fetched(tape, "link")
    assert (tape.mount / "g").read_text() == "content" and (tape.mount / "g").stat().st_mode == stat.S_IFREG | 0o600
    tape.archive("g")
    (tape.mount / "g").unlink()
    (tape.mount / "link").unlink()


def append(path):
    with open(path, "ab", buffering=0) as file:
        file.write(b"x")


def test_what_is_written_after_it_was_fetched_is_kept(tape):
    path = tape.mount / "f"
    path.write_text("one")
    tape.archive("f")
    fetched(tape, "f")
    path.write_text("two")
    assert state(tape, "f") == "disk"
    tape.archive("f")
    fetched(tape, "f")
    assert path.read_text() == "two"


def test_a_sticky_bit_alone_is_no_stub(tape):
    (tape.mount / "f").write_text("x")
    (tape.mount / "f").chmod(0o1644)
    assert (tape.mount / "f").read_text() == "x" and state(tape, "f") == "disk"


def test_what_is_open_is_not_archived(tape):
    (tape.mount / "f").write_text("x")
    with open(tape.mount / "f"), pytest.raises(Refused, match="f is in use"):
        tape.archive("f")
    assert (tape.mount / "f").read_text() == "x"


def test_a_replica_that_is_not_what_was_archived_stays_on_tape(tape):
    (tape.mount / "f").write_bytes(b"x" * 1000)
    tape.archive("f")
    with tape.failing("f", "fetch", flip=1):
        tape.fetch("f")
        wait_until(lambda: state(tape, "f") == "tape")
    assert tape.log()[-1]["error"] == "its checksum is another"
    assert raised((tape.mount / "f").read_bytes) == "EIO" and (tape.mount / "f").stat().st_size == 1000
    with tape.failing("f", "fetch", errno="EIO"):
        tape.fetch("f")
        wait_until(lambda: state(tape, "f") == "tape")
    assert tape.log()[-1]["what"] == "not fetched"
    fetched(tape, "f")
    assert (tape.mount / "f").read_bytes() == b"x" * 1000


def test_20_at_once(tape):
    contents = {f"f{number}": os.urandom(500_000) for number in range(20)}
    for name, content in contents.items():
        (tape.mount / name).write_bytes(content)
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(tape.archive, contents))
        list(threads.map(tape.fetch, contents))
    for name, content in contents.items():
        wait_until(lambda: state(tape, name) == "both")
        assert (tape.mount / name).read_bytes() == content


def test_it_is_a_stub_for_the_next_run_too(tape, tmp_path):
    (tape.mount / "f").write_text("x")
    tape.archive("f")
    tape.process.terminate()
    tape.process.wait(10)
    with mounted(tmp_path / "source", tmp_path / "mount", "--tape", str(tmp_path / "tape")) as again:
        assert raised((again.mount / "f").read_text) == "EIO"
        fetched(again, "f")
        assert (again.mount / "f").read_text() == "x"


def test_reading_fetches_where_it_is_told_so(tmp_path):
    (tmp_path / "tape").mkdir()
    with mounted(tmp_path / "source", tmp_path / "mount", "--tape", str(tmp_path / "tape"),
                 "--fetch-on-read", ".2") as tape:
        (tape.mount / "f").write_text("x")
        tape.archive("f")
        assert subprocess.run(["cat", tape.mount / "f"], capture_output=True).returncode
        wait_until(lambda: state(tape, "f") == "both")
        assert (tape.mount / "f").read_text() == "x"
        tape.archive("f")
        assert raised((tape.mount / "f").write_text, "y") == "EIO"
        wait_until(lambda: state(tape, "f") == "both")


@pytest.mark.parametrize("path, said", [("none", "No such file"), ("folder", "Is a directory"), ("fifo", "is no file"),
                                        ("link", "symbolic links"), ("../../etc/hostname", "No such file")])
def test_what_cannot_be_archived(path, said, tape):
    (tape.mount / "folder").mkdir()
    (tape.mount / "link").symlink_to("/etc/hostname")
    os.mkfifo(tape.mount / "fifo")
    with pytest.raises(Refused, match=said):
        tape.archive(path)


def test_no_link_leads_out(tape, tmp_path):
    """Not even one above the file."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/secret").write_text("secret")
    (tape.mount / "folder/inner").mkdir(parents=True)
    (tape.mount / "folder/inner/f").write_text("x")
    for link in (tape.mount / "l", tape.mount / "folder/l"):
        link.symlink_to(tmp_path / "out")
    for path in ("l/secret", "folder/l/secret"):
        for method, address, given in (("POST", "/archive", {"path": path}), ("POST", "/fetch", {"path": path}),
                                       ("GET", f"/tape/{path}", {})):
            with pytest.raises(Refused, match="Not a directory: 'l'"):
                tape.ask(method, address, **given)
    assert (tmp_path / "out/secret").read_text() == "secret"
    tape.archive("folder/inner/f")
    fetched(tape, "/folder/inner/../inner//f")
    assert state(tape, "") == "disk"


def test_refusals(tape):
    (tape.mount / "f").write_text("x")
    with pytest.raises(Refused, match="not on tape"):
        tape.fetch("f")
    with pytest.raises(Refused, match="delay should be"):
        tape.fetch("f", delay="x")
    with pytest.raises(Refused, match="path should be"):
        tape.ask("POST", "/fetch")
    tape.archive("f")
    with pytest.raises(Refused, match="on tape already"):
        tape.archive("f")


def test_without_a_tape(tapemock):
    with pytest.raises(Refused, match="there is no tape"):
        tapemock.archive("f")
