"""What docs/lasting.md says of files and locks, one process at a time."""

import contextlib
import errno
import os
import threading

import pytest

from slipway.lasting import AppendLog, LockedOpen, files, link_replace, opened, write_replace


def test_a_file_has_its_mode_and_any_bytes(tmp_path):
    """Whatever the umask; a link is replaced, not followed; a link beside it neither."""
    (tmp_path / "elsewhere").write_text("theirs")
    for name in ("file", "file.new"):
        (tmp_path / name).symlink_to("elsewhere")
    write_replace(tmp_path / "file", b"\xff\n", 0o666)
    assert (tmp_path / "file").read_bytes() == b"\xff\n" and not (tmp_path / "file").is_symlink()
    assert os.stat(tmp_path / "file").st_mode & 0o7777 == 0o666
    assert (tmp_path / "elsewhere").read_text() == "theirs" and len(os.listdir(tmp_path)) == 2


def test_a_file_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_replace("file", "text")
    AppendLog("log").append(b"one")
    assert (tmp_path / "file").read_text() == "text" and list(AppendLog("log")) == [b"one"]


def test_a_write_names_its_file(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        write_replace(tmp_path / "none/file", "text")
    assert raised.value.filename == f"{tmp_path}/none/file.new"


def test_a_write_that_fails_leaves_that_of_another_alone(tmp_path, monkeypatch):
    """Who has its name, and cannot sync the folder, may have the next one's file beside it."""
    def failing(folder):
        (tmp_path / "file.new").write_text("the next")
        raise OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(files, "sync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write_replace(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text" and (tmp_path / "file.new").read_text() == "the next"


@pytest.mark.parametrize("mode, starts, written", [
    ("r+", "old", "new"), ("a", "", "oldnew"), ("a+", "old", "oldnew"), ("w", "", "new"), ("w+", "", "new"),
    ("r", "old", "old")])
def test_modes(mode, starts, written, tmp_path):
    (tmp_path / "file").write_text("old")
    with LockedOpen(tmp_path / "file", mode) as file:
        if mode.endswith("+") or mode == "r":
            file.seek(0)
            assert file.read() == starts
        if mode != "r":
            file.seek(0)
            file.write("new")
    assert (tmp_path / "file").read_text() == written


def test_what_a_locked_file_is_not(tmp_path):
    with pytest.raises(ValueError, match="no mode 'x'"):
        LockedOpen(tmp_path / "file", "x")
    with pytest.raises(FileNotFoundError), LockedOpen(tmp_path / "file"):
        pass
    with LockedOpen(tmp_path / "file", "wb") as file:
        file.write(b"text")
    assert (tmp_path / "file").read_bytes() == b"text"


def test_a_lock_is_waited_for_as_long_as_told(tmp_path):
    """By another thread, too. Those that are shared exclude none of each other."""
    path = tmp_path / "file"
    path.touch()
    with LockedOpen(path, "r"):
        for shared in (False, True):
            with pytest.raises(TimeoutError, match="another process has it locked") as raised:
                LockedOpen(path, "w", timeout=0.05, shared=shared).__enter__()
            assert raised.value.filename == str(path)
    with LockedOpen(path, shared=True), LockedOpen(path, shared=True, timeout=0):
        with pytest.raises(TimeoutError):
            LockedOpen(path, timeout=0).__enter__()
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else None
    with LockedOpen(path, timeout=0):
        pass
    assert before is None or os.listdir("/proc/self/fd") == before


def test_who_waits_gets_the_file_that_is_there_then(tmp_path, monkeypatch):
    path, looks, found = tmp_path / "file", threading.Event(), []
    path.write_text("old")
    wait = files.wait

    def waiting(*words):
        looks.set()
        wait(*words)

    def read():
        with LockedOpen(path, "r") as file:
            found.append(file.read())
    with LockedOpen(path):
        monkeypatch.setattr(files, "wait", waiting)
        thread = threading.Thread(target=read)
        thread.start()
        assert looks.wait(10)
        monkeypatch.undo()
        write_replace(path, "new")
    thread.join(10)
    assert found == ["new"]


def test_a_lock_stays_through_replaces(tmp_path):
    """Whoever waits gets the last one, once the block has ended. Nothing stays open or beside it."""
    path, numbers = tmp_path / "file", os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else None
    path.write_text("old")
    with (lock := LockedOpen(path)) as file:
        assert file.read() == "old"
        for text in ("one", "two"):
            lock.replace(text, 0o600)
            assert path.read_text() == text and os.stat(path).st_mode & 0o777 == 0o600
            with pytest.raises(TimeoutError):
                LockedOpen(path, timeout=0).__enter__()
    with LockedOpen(path, timeout=0) as file:
        assert file.read() == "two"
    assert os.listdir(tmp_path) == ["file"]
    assert numbers is None or os.listdir("/proc/self/fd") == numbers


def test_a_replace_that_fails_may_be_tried_again(tmp_path, monkeypatch):
    """In the same block, which has the lock, also where the file has its name but the folder is not synced."""
    path, sync = tmp_path / "file", opened.sync

    def failing(*words):
        raise OSError(errno.EIO, "Input/output error")
    path.touch()
    with (lock := LockedOpen(path)):
        for name, there in (("rename", ""), ("fsync", ""), (None, "text")):
            with monkeypatch.context() as patched, pytest.raises(OSError, match="Input/output error"):
                patched.setattr(*((os, name) if name else (opened, "sync")), failing)
                lock.replace("text")
            assert path.read_text() == there and os.listdir(tmp_path) == ["file"]
            with pytest.raises(TimeoutError):
                LockedOpen(path, timeout=0).__enter__()
        assert opened.sync is sync
        lock.replace("new")
    assert path.read_text() == "new"


def test_a_child_forked_meanwhile_keeps_no_new_file_locked(tmp_path, monkeypatch):
    """Another thread's, which has the number of each open file."""
    waits, ends = os.pipe()
    children, fsync = [], os.fsync

    def forking(number):
        if not children:
            children.append(os.fork())
            if not children[0]:
                os.close(ends)
                os.read(waits, 1)
                os._exit(0)
        fsync(number)
    monkeypatch.setattr(os, "fsync", forking)
    write_replace(tmp_path / "file", "text")
    with contextlib.ExitStack() as stack:
        stack.callback(os.waitpid, children[0], 0)
        stack.callback(os.close, ends)
        stack.callback(os.close, waits)
        with LockedOpen(tmp_path / "file", timeout=0) as file:
            assert file.read() == "text"


def test_what_is_no_text_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_replace(tmp_path / "file", "\ud800")
    assert os.listdir(tmp_path) == []


def test_a_link_that_cannot_be_leaves_nothing(tmp_path):
    (tmp_path / "link/below").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        link_replace(tmp_path / "link", "below")
    assert os.listdir(tmp_path) == ["link"]
