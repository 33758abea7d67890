"""Disks that fail and power that is cut, by companions/tapemock, a program with a virtualenv of its own."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

from proc import ROOT

sys.path[:0] = [str(ROOT), str(ROOT / "companions/tapemock")]
from tapemock.mounted import mounted  # noqa: E402

PYTHON = ROOT / "ve/companions/tapemock/bin/python"


@pytest.fixture(scope="session")
def tapemock_python():
    """One that has what tapemock needs: installed where that has changed, as `make companion` does it."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("/dev/fuse is not to be had here")
    if not shutil.which("fusermount3"):
        pytest.fail("fuse3 is not installed") if os.environ.get("CI") else pytest.skip("fuse3 is not installed")
    subprocess.run(["make", "-s", "ve/companions/tapemock/sentinel"], cwd=ROOT, check=True, timeout=300)
    return PYTHON


@pytest.fixture
def failing_disk(tapemock_python, tmp_path):
    """over(folder): tapemock over a folder, which is there as it was, until the test ends."""
    (tmp_path / "copies").mkdir()
    with contextlib.ExitStack() as stack:
        def over(folder):
            options = ("--power-cut", str(tmp_path / "copies"))
            return stack.enter_context(mounted(folder, folder, *options, python=tapemock_python))
        yield over
