"""After a power cut only synced data is left."""

import os
import stat

import pytest

from conftest import on


def written(path, text, sync=True):
    with open(path, "w") as file:
        file.write(text)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def synced(folder):
    on(folder, os.fsync, os.O_RDONLY)


def contents(root):
    """Return {path: text} of all below `root`; the text of a directory is None."""
    return {str(path.relative_to(root)): None if path.is_dir() else path.read_text() for path in root.rglob("*")}


BEFORE = {"old": None, "old/file": "before"}


@pytest.mark.parametrize(
    "file, folder, left",
    [(False, False, {}), (True, False, {}), (False, True, {"new": ""}), (True, True, {"new": "text"})],
)
def test_a_new_file(file, folder, left, disk):
    """A new file's content needs a sync of the file, its name a sync of the directory."""
    written(disk.mount / "new", "text", sync=file)
    if folder:
        synced(disk.mount)
    disk.power_cut()
    assert contents(disk.mount) == BEFORE | left


@pytest.mark.parametrize(
    "file, folder, left, with_names",
    [
        (False, False, "before", ""),
        (True, False, "before", "after"),
        (False, True, "", ""),
        (True, True, "after", "after"),
    ],
)
@pytest.mark.parametrize("names", [False, True])
def test_a_file_is_replaced_by_a_rename(file, folder, left, with_names, names, disk):
    written(disk.mount / "old/file.new", "after", sync=file)
    os.rename(disk.mount / "old/file.new", disk.mount / "old/file")
    if folder:
        synced(disk.mount / "old")
    disk.power_cut(names=names)
    assert contents(disk.mount) == {"old": None, "old/file": with_names if names else left}


@pytest.mark.parametrize("names, left", [(False, "before"), (True, "bef")])
def test_a_file_that_is_written_in_its_place(names, left, disk):
    written(disk.mount / "old/file", "new", sync=False)
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


def test_a_file_that_has_the_inode_of_one_that_was_removed(disk):
    synced(disk.mount)
    os.unlink(disk.mount / "old/file")
    for number in range(20):
        written(disk.mount / f"other{number}", "other")
    disk.power_cut()
    assert contents(disk.mount) == BEFORE


def test_links_and_modes_come_back(disk):
    os.symlink("nowhere", disk.mount / "link")
    on(disk.mount / "old/file", lambda handle: (os.fchmod(handle, 0o600), os.fsync(handle)))
    synced(disk.mount)
    os.chmod(disk.mount / "old/file", 0o777)
    disk.power_cut()
    assert os.readlink(disk.mount / "link") == "nowhere"
    assert stat.S_IMODE(os.stat(disk.mount / "old/file").st_mode) == 0o600
