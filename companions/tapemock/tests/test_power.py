"""After a power cut there is what was synced, and nothing else."""

import contextlib
import os
import stat
import subprocess
import sys

import pytest
from tapemock.mounted import Refused, mounted


def written(path, text, sync=True):
    with open(path, "w") as file:
        file.write(text)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def synced(folder):
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def contents(root):
    """{path: text} of the files below, None of directories."""
    return {str(path.relative_to(root)): None if path.is_dir() else path.read_text() for path in root.rglob("*")}


BEFORE = {"old": None, "old/file": "before"}


def test_what_was_there_stays(disk):
    disk.power_cut()
    assert contents(disk.mount) == contents(disk.source) == BEFORE


@pytest.mark.parametrize("file, folder, left", [
    (False, False, {}), (True, False, {}), (False, True, {"new": ""}), (True, True, {"new": "text"})])
def test_a_new_file(file, folder, left, disk):
    """Needs a sync for its content, and one of its directory for its name."""
    written(disk.mount / "new", "text", sync=file)
    if folder:
        synced(disk.mount)
    disk.power_cut()
    assert contents(disk.mount) == BEFORE | left


def test_what_is_written_to_an_old_file(disk):
    written(disk.mount / "old/file", "synced")
    with open(disk.mount / "old/file", "a") as file:
        file.write(" and not")
    disk.power_cut()
    assert contents(disk.mount) == BEFORE | {"old/file": "synced"}


@pytest.mark.parametrize("file, folder, left, with_names", [
    (False, False, "before", ""), (True, False, "before", "after"), (False, True, "", ""),
    (True, True, "after", "after")])
@pytest.mark.parametrize("names", [False, True])
def test_a_file_is_replaced_by_a_rename(file, folder, left, with_names, names, disk):
    written(disk.mount / "old/file.new", "after", sync=file)
    os.rename(disk.mount / "old/file.new", disk.mount / "old/file")
    if folder:
        synced(disk.mount / "old")
    disk.power_cut(names=names)
    assert contents(disk.mount) == {"old": None, "old/file": with_names if names else left}


@pytest.mark.parametrize("names, left", [(False, "before"), (True, "")])
def test_a_file_that_is_written_in_its_place(names, left, disk):
    """As names get to the disk before the content, it is as short as it has been."""
    written(disk.mount / "old/file", "after", sync=False)
    disk.power_cut(names=names)
    assert contents(disk.mount) == BEFORE | {"old/file": left}


def test_removals_are_undone_and_stay_once_they_are_synced(disk):
    os.unlink(disk.mount / "old/file")
    os.rmdir(disk.mount / "old")
    disk.power_cut()
    assert contents(disk.mount) == BEFORE
    os.unlink(disk.mount / "old/file")
    synced(disk.mount / "old")
    disk.power_cut()
    assert contents(disk.mount) == {"old": None}


def test_a_directory_is_lost_with_all_that_is_synced_in_it(disk):
    for name in ("kept", "lost"):
        (disk.mount / name).mkdir()
        if name == "kept":
            synced(disk.mount)
        written(disk.mount / name / "file", "text")
        synced(disk.mount / name)
    disk.power_cut()
    assert contents(disk.mount) == BEFORE | {"kept": None, "kept/file": "text"}


@pytest.mark.parametrize("place, left", [
    ("new", BEFORE | {"new": None, "new/file": "before"}), ("old", {"old": None, "new": None})])
def test_a_move_is_two_changes(place, left, disk):
    """A sync of the new directory brings it there, one of the old takes it away there."""
    (disk.mount / "new").mkdir()
    synced(disk.mount)
    os.rename(disk.mount / "old/file", disk.mount / "new/file")
    synced(disk.mount / place)
    disk.power_cut()
    assert contents(disk.mount) == left


def test_a_directory_that_is_moved_is_in_one_place(disk):
    (disk.mount / "new").mkdir()
    synced(disk.mount)
    os.rename(disk.mount / "old", disk.mount / "new/old")
    synced(disk.mount / "new")
    disk.power_cut()
    assert list(contents(disk.mount).values()).count("before") == 1


def test_what_is_removed_while_it_is_open(disk):
    with open(disk.mount / "old/file", "a"):
        os.unlink(disk.mount / "old/file")
        synced(disk.mount / "old")
        disk.power_cut()
        assert os.listdir(disk.source / "old") == []
    disk.power_cut()
    assert contents(disk.source) == {"old": None}


def test_a_file_that_has_the_inode_of_one_that_was_removed(disk):
    synced(disk.mount)
    os.unlink(disk.mount / "old/file")
    for number in range(20):
        written(disk.mount / f"other{number}", "other")
    disk.power_cut()
    assert contents(disk.mount) == BEFORE


def test_kinds_owners_modes_and_attributes_come_back(disk):
    os.symlink("nowhere", disk.mount / "link")
    os.mkfifo(disk.mount / "fifo", 0o640)
    os.link(disk.mount / "old/file", disk.mount / "second")
    handle = os.open(disk.mount / "old/file", os.O_RDONLY)
    os.setxattr(handle, "user.x", b"1")
    os.fchmod(handle, 0o600)
    os.utime(handle, (5, 7))
    if os.geteuid() == 0:
        os.fchown(handle, 12, 34)
    os.fsync(handle)
    os.close(handle)
    synced(disk.mount)
    kept = os.stat(disk.mount / "second")
    os.chmod(disk.mount / "old/file", 0o777)
    os.setxattr(disk.mount / "old/file", "user.x", b"2")
    disk.power_cut()
    assert os.readlink(disk.mount / "link") == "nowhere"
    assert stat.S_ISFIFO(os.stat(disk.mount / "fifo").st_mode)
    found = os.stat(disk.mount / "old/file")
    assert os.path.samefile(disk.mount / "old/file", disk.mount / "second")
    for name in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_nlink"):
        assert getattr(found, name) == getattr(kept, name)
    assert os.getxattr(disk.mount / "second", "user.x") == b"1"


def test_each_write_is_synced_where_it_is_opened_so(disk):
    handle = os.open(disk.mount / "old/file", os.O_WRONLY | os.O_DSYNC)
    os.write(handle, b"B")
    os.close(handle)
    disk.power_cut()
    assert contents(disk.mount) == BEFORE | {"old/file": "Before"}


def test_what_is_open_is_good_for_nothing_afterwards(disk):
    with contextlib.suppress(OSError), open(disk.mount / "old/file", "ab", buffering=0) as file:
        disk.power_cut()
        for call in (lambda: file.write(b"x"), lambda: os.fsync(file.fileno())):
            with pytest.raises(OSError):
                call()
    assert contents(disk.mount) == BEFORE
    written(disk.mount / "old/file", "again")
    disk.power_cut()
    assert contents(disk.mount) == BEFORE | {"old/file": "again"}


CHANGES = """
import contextlib, os
while True:
    for call in (lambda: open("a", "w").close(), lambda: os.rename("a", "b"), lambda: os.unlink("b"),
                 lambda: os.mkdir("d"), lambda: os.rmdir("d")):
        with contextlib.suppress(OSError):
            call()
"""


def test_many_change_names_while_the_power_is_cut(disk):
    users = [subprocess.Popen([sys.executable, "-c", CHANGES], cwd=disk.mount) for _ in range(4)]
    for _ in range(30):
        disk.power_cut(names=True)
    for user in users:
        user.kill()
        user.wait(10)
    disk.power_cut()
    assert contents(disk.mount)["old/file"] == "before"


def test_a_sync_that_fails_syncs_nothing(disk):
    with disk.failing("old/file", "fsync", errno="EIO"), pytest.raises(OSError):
        written(disk.mount / "old/file", "after")
    disk.power_cut()
    assert contents(disk.mount) == BEFORE


def test_refusals(disk, tapemock, tmp_path):
    with pytest.raises(Refused, match="--power-cut FOLDER"):
        tapemock.power_cut()
    with pytest.raises(Refused, match="names should be true or false"):
        disk.ask("POST", "/power-cut", names=1)
    for options, said in [(("--tape", tmp_path), "do not go together"),
                          (("--power-cut", disk.mount), "not kept in what is shown")]:
        with pytest.raises(Refused, match=said), mounted(disk.source, disk.mount, "--power-cut", str(tmp_path),
                                                         *map(str, options)):
            pass
