"""A file on tape cannot be read until it is fetched; then it is as before."""

import contextlib
import os
import subprocess
import time

import pytest
from tapemock.mounted import Refused, mounted

from conftest import raised
from proc import wait_until


@pytest.fixture
def tape(tmp_path):
    (tmp_path / "tape").mkdir()
    with mounted(tmp_path / "source", tmp_path / "mount", "--tape", str(tmp_path / "tape"), "--no-recall") as running:
        (running.mount / "final").mkdir()
        yield running
        assert "Traceback" not in running.errors()


def state(tape, path="final/file"):
    return tape.ask("GET", f"/tape/{path}")["state"]


def reaches(tape, expected, path="final/file"):
    wait_until(lambda: state(tape, path) == expected)


def archived(tape, content=b"content", path="final/file"):
    (tape.mount / path).write_bytes(content)
    reaches(tape, "tape", path)
    return tape.mount / path


def test_a_file_goes_to_tape_as_it_is_closed_and_comes_back(tape):
    """A shell writes the file as `echo x >final/file` does: it opens it twice and writes several times."""
    subprocess.run(["sh", "-c", "(echo one; echo two) >final/file"], cwd=tape.mount, check=True)
    reaches(tape, "tape")
    path, before = tape.mount / "final/file", (tape.mount / "final/file").stat()
    assert (before.st_size, before.st_blocks, before.st_mode & 0o1777) == (0, 0, 0o1644)
    assert (tape.source / "final/file").stat().st_mode == before.st_mode
    assert [raised(path.read_bytes), subprocess.run(["cat", path], capture_output=True, check=False).returncode] == [
        "EIO",
        1,
    ]
    assert tape.fetch("final/file")["state"] in ("fetching", "disk")
    reaches(tape, "disk")
    assert path.read_text() == "one\ntwo\n" and path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_mode & 0o1777 == 0o644
    path.read_text()
    assert state(tape) == "disk", "who only reads sends nothing to tape"
    assert [entry["what"] for entry in tape.log()] == ["archived", "fetched"]


def test_only_what_is_final_goes_to_tape(tape):
    (tape.mount / "file").write_text("x")
    with open(tape.mount / "final/removed", "w") as file:
        os.unlink(file.name)
    archived(tape)
    assert state(tape, "file") == "disk" and [entry["path"] for entry in tape.log()] == ["/final/file"]


def test_fetching_takes_as_long_as_it_is_told_to(tape):
    path = archived(tape)
    with open(path, "rb", buffering=0) as file:
        began = time.monotonic()
        assert tape.fetch("final/file", delay=8)["state"] == "fetching"
        assert tape.fetch("final/file")["state"] == "fetching"  # the first fetch counts
        assert raised(file.read) == "EIO"
        reaches(tape, "disk")
        assert time.monotonic() - began >= 8
        assert file.read() == b"content"  # opened while the content was on tape
    assert [entry["what"] for entry in tape.log()] == ["archived", "fetched"]


def test_the_stub_cannot_be_changed_but_moved_and_removed(tape):
    path = archived(tape)
    assert [raised(os.truncate, path, 0), raised(path.write_text, "x")] == ["EIO"] * 2
    with open(path, "ab", buffering=0) as file:
        assert raised(file.write, b"x") == "EIO"
    path.chmod(0o600)
    assert path.stat().st_mode & 0o1777 == 0o1600
    path.rename(tape.mount / "moved")
    tape.fetch("moved")
    reaches(tape, "disk", "moved")
    assert (tape.mount / "moved").read_text() == "content" and (tape.mount / "moved").stat().st_mode & 0o1777 == 0o600
    archived(tape, b"another").unlink()


def test_what_cannot_be_fetched_stays_on_tape(tape):
    path = archived(tape)
    with tape.failing("final/*", "fetch", errno="ETIMEDOUT"):
        tape.fetch("final/file")
        wait_until(lambda: tape.log()[-1]["what"] == "not fetched")
    assert state(tape) == "tape" and raised(path.read_bytes) == "EIO" and path.stat().st_mode & 0o1000


def test_the_next_run_fetches_many_at_once(tape, tmp_path):
    contents = {f"final/{number}": os.urandom(500_000) for number in range(20)}
    for path, content in contents.items():
        archived(tape, content, path)
    tape.process.terminate()
    tape.process.wait(60)
    with mounted(tmp_path / "source", tmp_path / "mount", "--tape", str(tmp_path / "tape")) as again:
        for path in contents:
            again.fetch(path)
        for path, content in contents.items():
            reaches(again, "disk", path)
            assert (again.mount / path).read_bytes() == content


@pytest.fixture
def recalling(tmp_path):
    """Yield a function that starts a tapemock which recalls, with a replica folder and more options."""
    (tmp_path / "tape").mkdir()
    (tmp_path / "source/final").mkdir(parents=True)
    options = "--tape", str(tmp_path / "tape"), "--replica", str(tmp_path / "replica")
    with contextlib.ExitStack() as stack:
        yield lambda *more: stack.enter_context(mounted(tmp_path / "source", tmp_path / "mount", *options, *more))


def test_opening_recalls(recalling, tmp_path):
    """`cat` fails, and starts a fetch. A torn fetch brings back a file's beginning; with `errno` it also fails, and
    the file stays on tape. The replica folder has copies under the files' own paths."""
    tape = recalling()
    path = archived(tape, b"one\n")
    assert (tmp_path / "replica/final/file").read_text() == "one\n"
    said = subprocess.run(["cat", path], capture_output=True, text=True, check=False).stderr
    assert "Input/output error" in said
    for how, content in (({}, b"one\n"), ({"torn": 9}, b"one\n"), ({"torn": 2}, b"on")):
        reaches(tape, "disk")
        archived(tape, b"one\n")
        with tape.failing("final/*", "fetch", **how):
            assert raised(path.write_text, "x") == "EIO"
            reaches(tape, "disk")
        assert path.read_bytes() == content
    archived(tape)
    with tape.failing("final/*", "fetch", torn=2, errno="ETIMEDOUT"):
        assert raised(path.read_bytes) == "EIO"
        wait_until(lambda: tape.log()[-1]["what"] == "not fetched")
    assert state(tape) == "tape"


def test_archiving_waits(recalling, tmp_path):
    """A file can be read until --archive-delay ends. Only the last of several closes counts; a removed file is not
    archived. The copy is made at once."""
    tape = recalling("--archive-delay", "1.5")
    path, removed = tape.mount / "final/file", tape.mount / "final/removed"
    path.write_text("one")
    removed.write_text("x")
    removed.unlink()
    with path.open("a") as file:
        assert path.read_text() == (tmp_path / "replica/final/file").read_text() == "one"
        archived(tape, path="final/later")  # when the first delay of `file` has ended, too
        assert state(tape) == "disk"
        file.write(" two")
    reaches(tape, "tape")
    assert [entry["path"] for entry in tape.log()] == ["/final/later", "/final/file"]
    tape.fetch("final/file")
    reaches(tape, "disk")
    assert path.read_text() == "one two"


@pytest.mark.parametrize(
    "options, message", [(["--tape", "/tmp", "--archive-delay", "nan"], "or more"), (["--replica", "/"], "need --tape")]
)
def test_wrong_options(options, message, tmp_path):
    with pytest.raises(Refused, match=message), mounted(tmp_path / "source", tmp_path / "mount", *options):
        pass


def test_refusals(tape):
    (tape.mount / "f").write_text("x")
    (tape.mount / "link").symlink_to("/etc/hostname")
    for path, said in [
        ("f", "f is not on tape"),
        ("../../etc/hostname", "No such file"),
        ("final", "Is a directory"),
        ("link", "symbolic links"),
        (3, "path.*valid string"),
    ]:
        with pytest.raises(Refused, match=said):
            tape.fetch(path)
