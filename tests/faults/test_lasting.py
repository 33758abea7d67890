"""A process is killed before and after each change that a primitive makes, or the power is cut: files are complete, and
changes stay once the primitive has returned."""

import os
import shutil
import tempfile
import traceback
from collections import namedtuple
from functools import partial
from unittest import mock

import pytest

from slipway.lasting import LockedOpen, link_replace, write_replace
from slipway.lasting.files import sync

CHANGES = ("open", "write", "fchmod", "fsync", "rename", "unlink", "symlink")
really_open = os.open
OLD, NEW, NEXT = "old " * 3000, "new " * 5000, "next"
# `before` prepares a folder, `use` changes it, and `state` returns its state: `old`, or `new` after `use`. `again` uses
# the primitive once more, even after a crash; then the folder has only the file `name`.
Primitive = namedtuple("Primitive", "before use state old new again name")


def read(folder):
    with open(f"{folder}/file") as file:
        return file.read()


def write(text):
    return lambda folder: write_replace(f"{folder}/file", text)


def link(target):
    return lambda folder: link_replace(f"{folder}/link", target)


def count(folder):
    """Append to the file's content under its lock."""
    with (lock := LockedOpen(f"{folder}/file", timeout=0)) as file:
        lock.replace(file.read() + "1" * 5000)


PRIMITIVES = {
    "write_replace": Primitive(write(OLD), write(NEW), read, OLD, NEW, write(NEXT), "file"),
    "LockedOpen": Primitive(write(OLD), count, read, OLD, OLD + "1" * 5000, count, "file"),
    "link_replace": Primitive(
        link("old"), link("new"), lambda folder: os.readlink(f"{folder}/link"), "old", "new", link("next"), "link"
    ),
}


def check(primitive, folder, returned):
    """Assert that the state is the old or the new one, and the new one if `use` returned. Then use it again."""
    state = primitive.state(folder)
    assert state == primitive.new or (not returned and state == primitive.old), f"{state!r}"[:300]
    primitive.again(folder)
    assert os.listdir(folder) == [primitive.name]


def used(primitive, folder, changes, **broken):
    """Return True if `use` returned in a process that dies before that change. `broken`: replaced functions of os."""
    child = os.fork()
    if not child:
        left = iter(range(changes))

        def counted(function):
            def change(*words, **extra):
                reads = function is really_open and not words[1] & os.O_CREAT
                if not reads and next(left, None) is None:
                    os._exit(1)
                return function(*words, **extra)

            return change

        calls = {name: counted(broken.get(name, getattr(os, name))) for name in CHANGES}
        try:
            with mock.patch.multiple(os, **calls):
                primitive.use(folder)
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code < 2
    return code == 0


def prepared(primitive, disk):
    """Create a synced folder on the disk in the state before `use`."""
    for name in os.listdir(disk.mount):  # a cut takes longer with more files
        shutil.rmtree(disk.mount / name, ignore_errors=True)
    folder = tempfile.mkdtemp(dir=disk.mount)
    sync(disk.mount)
    primitive.before(folder)
    return folder


@pytest.mark.parametrize("name", PRIMITIVES)
def test_an_end_at_every_change(name, failing_disk, tmp_path):
    """All primitives survive a kill without a power cut, and with either kind of cut. A missing sync is detected."""
    primitive, disk = PRIMITIVES[name], failing_disk(tmp_path / "disk")
    for cut in (lambda: None, disk.power_cut, partial(disk.power_cut, True)):
        for changes in range(100):
            folder = prepared(primitive, disk)
            returned = used(primitive, folder, changes)
            cut()
            check(primitive, folder, returned)
            if returned:
                break
        else:
            pytest.fail("it has not returned")
        assert changes > 2
    folder = prepared(primitive, disk)
    assert used(primitive, folder, 100, fsync=lambda number: None)
    disk.power_cut()
    with pytest.raises((AssertionError, OSError)):
        check(primitive, folder, True)
