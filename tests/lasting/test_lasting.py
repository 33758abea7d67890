"""Tests of docs/files.md about lasting files, with one process at a time."""

import errno
import json
import os
import re
import stat
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proc import ROOT
from slipway import lasting
from slipway.lasting import LockedOpen, files, link_replace, write_replace


def test_a_file_has_its_mode_and_any_bytes(tmp_path, monkeypatch):
    """The mode does not depend on the umask. A link at the file's name or beside it is replaced, not followed. A failed
    write leaves nothing, and its error names the file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").write_text("theirs")
    for name in ("file", "file.new"):
        (tmp_path / name).symlink_to("elsewhere")
    write_replace("file", b"\xff\n", 0o666)
    assert (tmp_path / "file").read_bytes() == b"\xff\n" and not (tmp_path / "file").is_symlink()
    assert os.stat(tmp_path / "file").st_mode & 0o7777 == 0o666
    for mode in (0o600, 0o664):  # without a mode, a file keeps its own
        os.chmod("file", mode)
        write_replace("file", "text")
        assert os.stat(tmp_path / "file").st_mode & 0o7777 == mode
    with monkeypatch.context() as race:
        race.setattr(os.path, "lexists", lambda path: True)  # as another process removes it now
        write_replace("removed", "text")
    os.unlink("removed")
    os.unlink("file")
    (tmp_path / "file").symlink_to("elsewhere")
    write_replace("file", "text")
    assert os.lstat(tmp_path / "file").st_mode & 0o7777 == 0o644, "nobody else may change what was a link"
    (tmp_path / "link/below").mkdir(parents=True)
    with pytest.raises(FileNotFoundError) as raised:
        write_replace(tmp_path / "none/file", "text")
    assert raised.value.filename == f"{tmp_path}/none/file.new"
    with pytest.raises(UnicodeEncodeError):
        write_replace(tmp_path / "other", "\ud800")
    with pytest.raises(IsADirectoryError):
        link_replace(tmp_path / "link", "below")
    assert (tmp_path / "elsewhere").read_text() == "theirs"
    assert {*os.listdir(tmp_path)} == {"elsewhere", "file", "link"}


def test_a_lock_is_waited_for_as_long_as_told(tmp_path):
    """A lock's timeout also applies between threads. Shared locks do not exclude one another."""
    path = tmp_path / "file"
    path.touch()
    with LockedOpen(path, "r"):
        for shared in (False, True):
            with pytest.raises(TimeoutError, match="another process has it locked") as raised:
                LockedOpen(path, "w", timeout=0.05, shared=shared).__enter__()
            assert raised.value.filename == str(path)
    with LockedOpen(path, shared=True), LockedOpen(path, shared=True, timeout=0), pytest.raises(TimeoutError):
        LockedOpen(path, timeout=0).__enter__()


def test_a_lock_stays_through_replaces(tmp_path, monkeypatch):
    """The lock stays even through a failed replace, which may be retried. Mode and owner stay, too, unless
    others are given. Nothing stays open or beside the file."""
    path, numbers = tmp_path / "file", os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else None
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, *(owner := (7, 8) if os.geteuid() == 0 else (os.getuid(), os.getgid())))

    def failing(*words):
        raise OSError(errno.EIO, "Input/output error")

    with (lock := LockedOpen(path)) as file:
        assert file.read() == "old"
        for name in ("rename", "fsync"):
            with monkeypatch.context() as patched, pytest.raises(OSError, match="Input/output error"):
                patched.setattr(os, name, failing)
                lock.replace("text")
            assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]
        for text, mode in (("one", 0o640), ("two", 0o600)):
            lock.replace(text, *[] if mode == 0o640 else [mode])
            found = os.stat(path)
            assert (path.read_text(), found.st_mode & 0o777, (found.st_uid, found.st_gid)) == (text, mode, owner)
            with pytest.raises(TimeoutError):
                LockedOpen(path, timeout=0).__enter__()
    assert os.listdir(tmp_path) == ["file"]
    assert numbers is None or os.listdir("/proc/self/fd") == numbers


def test_a_writer_who_is_not_the_owner_keeps_the_group(tmp_path, monkeypatch):
    """In a folder that a group may change, each of its members may replace a file of another."""
    path, chown, owners = tmp_path / "file", os.fchown, []
    path.write_text("old")
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(path).st_uid + 1)
    monkeypatch.setattr(os, "fchown", lambda number, *owner: owners.append(owner) or chown(number, *owner))
    with (lock := LockedOpen(path)):
        lock.replace("new")
    assert path.read_text() == "new" and owners == [(-1, os.stat(path).st_gid)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be", "latin-1", None])
def test_text_has_the_lock_s_encoding(tmp_path, encoding):
    """What replaces the file can be read, and continued, as it was opened. Bytes stay bytes."""
    path = tmp_path / "file"
    path.write_text("é1", encoding)
    with (lock := LockedOpen(path, encoding=encoding)) as file:
        lock.replace(file.read() + "é2")
    assert path.read_text(encoding) == "é1é2"
    with LockedOpen(path, "a", encoding=encoding) as file:
        file.write("é3")
    with (lock := LockedOpen(path, encoding=encoding)) as file:
        assert file.read() == "é1é2é3"
        with pytest.raises(UnicodeEncodeError):
            lock.replace("\ud800")
        lock.replace(b"\xff")
    assert path.read_bytes() == b"\xff" and os.listdir(tmp_path) == ["file"]


def test_what_is_synced(tmp_path, monkeypatch):
    """First the whole file, then its folder, whoever replaces it. Only `w` empties a file."""
    synced, real = [], os.fsync
    kinds = {True: "folder", False: "file"}
    monkeypatch.setattr(
        os,
        "fsync",
        lambda number: (
            synced.append((kinds[stat.S_ISDIR((it := os.fstat(number)).st_mode)], it.st_size)) or real(number)
        ),
    )
    write_replace(tmp_path / "file", "four")
    with (lock := LockedOpen(tmp_path / "file")):
        lock.replace("seven !")
    assert [each if each[0] == "file" else each[0] for each in synced] == [("file", 4), "folder", ("file", 7), "folder"]
    with LockedOpen(tmp_path / "file", "a"), open(tmp_path / "file") as file:
        assert file.read() == "seven !"
    with LockedOpen(tmp_path / "file", "w"), open(tmp_path / "file") as file:
        assert file.read() == ""


STRANGER = 4242  # an id of a user and a group that own nothing


def in_child(function):
    """Call the function in a process of its own, which is not root's, and return what it printed."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([]), os.setgid(STRANGER), os.setuid(STRANGER)
            os.write(write, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as file:
        said = file.read()
    os.waitpid(child, 0)
    return json.loads(said)


@pytest.mark.parametrize("method", ["replace", "replace as root", "write_replace"])
@pytest.mark.parametrize(
    "old, new",
    [(0o640, 0o600), (0o644, 0o644), (0o664, 0o644), (0o666, 0o666), (0o604, 0o600), (0o660, 0o600), (0o6775, 0o755)],
)
def test_a_writer_who_is_not_in_the_group(tmp_path, monkeypatch, method, old, new):
    """Who may write in the folder may replace a file of another user and group: it becomes the writer's, and nobody
    gets more access than before. So does root in a container without the capability to give files away."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o777)

    def written():
        for name in ("stat", "lstat"):
            real = getattr(os, name)
            monkeypatch.setattr(os, name, lambda path, real=real, **options: another(real(path, **options), old))
        if method == "replace as root":
            monkeypatch.setattr(os, "geteuid", lambda: 0)
        if method == "write_replace":
            write_replace("file", "new")
        else:
            with (lock := LockedOpen("file")):
                lock.replace("new")
        return os.fstat(os.open("file", os.O_RDONLY)).st_mode & 0o7777, Path("file").read_text(), os.listdir()

    def another(status, mode):
        """Return a file's status as if it was somebody else's."""
        names = [stat.S_IFMT(status.st_mode) | mode, *status[1:4], STRANGER + 1, STRANGER + 1, *status[6:]]
        return os.stat_result(names)

    assert in_child(lambda: [write_replace("file", "old", 0o666), *written()][1:]) == [new, "new", ["file"]]


def test_no_program_runs_as_its_writer(tmp_path):
    """What ran with its owner's or its group's rights does not run with those of who replaces it, such as root."""
    with open(tmp_path / "file", "w") as file:
        mine = os.fstat(file.fileno())
        for uid, gid, mode in ((0, 0, 0o6755), (1, 0, 0o2755), (0, 1, 0o4755), (1, 1, 0o755)):
            old = os.stat_result([0o106755, *mine[1:4], mine.st_uid + uid, mine.st_gid + gid, *mine[6:]])
            files.keep_mode(old, file.fileno())
            assert os.fstat(file.fileno()).st_mode & 0o7777 == mode


def test_root_who_may_not_give_files_away_keeps_the_group(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o777)

    def tried():
        tries, real, mine = [], os.fchown, os.stat(".")
        old = os.stat_result([0o100660, *mine[1:4], STRANGER + 1, os.getegid(), *mine[6:]])
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "fchown", lambda number, *owner: tries.append(owner) or real(number, *owner))
        with open("file", "w") as file:
            files.keep(old, None, file.fileno())
            return tries, os.fstat(file.fileno()).st_mode & 0o7777, os.getegid()

    tries, mode, group = in_child(tried)
    assert tries == [[STRANGER + 1, group], [-1, group]] and mode == 0o660


def test_what_the_docs_show(tmp_path):
    """A torn end of the log costs no other record; a spool has each record once, in its order, and no unfinished one; a
    folder is replaced as a whole."""
    names = {
        **vars(lasting),
        "os": os,
        "time": time,
        "zlib": zlib,
        "uuid": uuid,
        "Path": Path,
        "Callable": Callable,
        "Iterator": Iterator,
    }
    page = (ROOT / "docs/files.md").read_text()
    for after in ("`records` skips it:", "never half of one:", "when nobody reads them:"):
        exec(re.search(f"{after}[^\n]*\n\n```\\w*\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[1], names)
    log = tmp_path / "log"
    names["append"](log, b"one")
    log.write_bytes(log.read_bytes() + b"\n12345678 tor")
    names["append"](log, b"two")
    assert names["records"](log) == [b"one", b"two"]
    (tmp_path / "spool").mkdir()
    for record in (b"one", b"", b"\xff\n"):
        names["put"](tmp_path / "spool", record)
    (tmp_path / "spool/1-abc.new").write_bytes(b"unfini")
    assert [*names["taken"](tmp_path / "spool")] == [b"one", b"", b"\xff\n"]
    assert [*names["taken"](tmp_path / "spool")] == []
    for text in ("old", "new"):
        names["build"](tmp_path / "site", lambda folder: write_replace(f"{folder}/page", text))
        assert (tmp_path / "site/page").read_text() == text
