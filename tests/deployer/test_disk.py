"""What is written on a host outlives a power cut."""

import contextlib
import errno
import os
from pathlib import Path
from unittest import mock

import pytest

from slipway.deploy.agent import disk, staging, shell
from slipway.deploy.agent.steps.table import STEPS


@contextlib.contextmanager
def watched():
    """The renames and syncs of the block, in their order: ("rename", path), ("sync", inode)."""
    found, rename = [], os.rename
    with mock.patch.object(os, "rename", lambda path, to: (rename(path, to), found.append(("rename", str(to))))), \
            mock.patch.object(os, "fsync", lambda number: found.append(("sync", os.fstat(number).st_ino))):
        yield found


def inode(path):
    return os.stat(path).st_ino


def test_a_file_is_on_the_disk_before_its_name_is(tmp_path):
    """The file is synced, then renamed, then the folder is synced: whole at every moment, and there for good."""
    with watched() as found:
        disk.write(f"{tmp_path}/file", "text")
    assert found == [("sync", inode(tmp_path / "file")), ("rename", f"{tmp_path}/file"), ("sync", inode(tmp_path))]


@pytest.mark.parametrize("fails", ["rename", "fsync"])
def test_why_a_file_cannot_be_written_is_told(fails, tmp_path):
    """Not why what was written beside it cannot be removed."""
    def broken(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")
    with mock.patch.object(os, fails, broken), mock.patch.object(os, "unlink", read_only), \
            pytest.raises(OSError, match="Input/output error"):
        disk.write(f"{tmp_path}/file", "text")


def unsynced(found):
    """Folders that something was renamed into and that were not synced afterwards."""
    folders = {os.path.dirname(path): index for index, (kind, path) in enumerate(found) if kind == "rename"}
    return [folder for folder, index in folders.items() if ("sync", inode(folder)) not in found[index:]]


def test_a_commit_is_for_good(machine):
    """After the renames of a commit each folder is synced that they went to."""
    host = machine.host
    disk.write(host.env + ".next", "SECRET_KEY=2\n", 0o600)
    attempt = machine.begun("deploy", "v2", -1)
    with watched() as found:
        STEPS["commit"](host, attempt, machine.say)
    assert {path for kind, path in found if kind == "rename"} >= {host.tag, host.env}
    assert unsynced(found) == []


def test_staged_settings_are_for_good(machine, monkeypatch):
    """Each file before `deploy env` renames it, its folder after it."""
    host = machine.host
    monkeypatch.setattr(shell, "ids", lambda owner, group: (os.getuid(), os.getgid()))
    os.makedirs(host.etc + ".secrets")
    with watched() as found:
        staging.stage(host, "QT0xCg==", {"KEY.1": "eA=="})
    assert {("sync", inode(path)) for path in (host.next_env + ".new", host.etc + ".secrets/KEY.1.new")} <= {*found}
    with watched() as found:
        staging.finish_staging(host, ["KEY.1"])
    assert [os.path.basename(path) for kind, path in found if kind == "rename"] == ["KEY.1", "shop.env.next"]
    assert unsynced(found) == []


def test_what_is_no_file_is_not_read(tmp_path):
    """A folder, a link and a pipe in an app's own folder tell nothing, and no descriptor of them stays open."""
    os.mkfifo(tmp_path / "pipe")
    os.symlink("file", tmp_path / "link")
    (tmp_path / "file").write_bytes(b"text" * 2000)
    before = os.listdir("/proc/self/fd")
    assert [disk.read_small(f"{tmp_path}{name}") for name in ("", "/pipe", "/link", "/none")] == [None] * 4
    assert disk.read_small(f"{tmp_path}/file") == "text" * 1024 and disk.read_small(f"{tmp_path}/file", 3) == "tex"
    assert os.listdir("/proc/self/fd") == before


def test_a_damaged_log_is_added_to_as_it_is(machine):
    """What a record follows in releases.log stays byte for byte, text or not."""
    damaged = Path(machine.host.log).read_bytes() + b"\xff torn\n"
    Path(machine.host.log).write_bytes(damaged)
    machine.attempt("deploy", "v2")
    assert Path(machine.host.log).read_bytes().startswith(damaged)
