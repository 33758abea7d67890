"""The power is cut before and after each change that a primitive makes: what is there is whole, and what it has
returned from stays."""

import os
import shutil
import traceback
from unittest import mock

import pytest

from lasting.primitives import PRIMITIVES, check
from slipway.lasting.files import sync

CHANGES = ("open", "write", "ftruncate", "fchmod", "fsync", "rename", "unlink", "symlink", "mkdir", "rmdir")
really_open = os.open


def used(primitive, folder, changes, **broken):
    """Whether `use` has returned, in a process that dies before that change. `broken`: functions of os instead."""
    child = os.fork()
    if not child:
        left = iter(range(changes))

        def counted(function):
            def change(*words, **more):
                reads = function is really_open and not words[1] & os.O_CREAT
                if not reads and next(left, None) is None:
                    os._exit(1)
                return function(*words, **more)
            return change
        try:
            calls = {name: counted(broken.get(name, getattr(os, name))) for name in CHANGES}
            with mock.patch.multiple(os, **calls):
                primitive.use(folder)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code < 2
    return code == 0


def prepared(primitive, disk):
    """A folder on it, for good, as before `use`."""
    folder = disk.mount / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    sync(disk.mount)
    primitive.before(str(folder))
    return str(folder)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_power_cut_at_every_change(name, failing_disk, tmp_path):
    primitive, disk = PRIMITIVES[name], failing_disk(tmp_path / "disk")
    for names in (False, True):
        for changes in range(100):
            folder = prepared(primitive, disk)
            returned = used(primitive, folder, changes)
            disk.power_cut(names)
            check(primitive, folder, returned)
            if returned:
                break
        else:
            pytest.fail("it has not returned")
        assert changes > 2


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_sync_that_is_left_out_is_noticed(name, failing_disk, tmp_path):
    """By the test above: without any sync it fails."""
    primitive, disk = PRIMITIVES[name], failing_disk(tmp_path / "disk")
    folder = prepared(primitive, disk)
    assert used(primitive, folder, 100, fsync=lambda number: None)
    disk.power_cut()
    with pytest.raises((AssertionError, OSError)):
        check(primitive, folder, True)
