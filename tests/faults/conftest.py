"""Disks that fail and power that is cut, by companions/tapemock, which needs the companions' virtualenv."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

from proc import ROOT

sys.path[:0] = [str(ROOT), str(ROOT / "companions/tapemock")]
from tapemock.mounted import mounted  # noqa: E402

PYTHON = ROOT / "ve/companion/bin/python"


@pytest.fixture(scope="session")
def tapemock_python():
    """One that has what tapemock needs: installed where that has changed, as `make companion` does it."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("/dev/fuse is not to be had here")
    if not shutil.which("fusermount3"):
        pytest.fail("fuse3 is not installed") if os.environ.get("CI") else pytest.skip("fuse3 is not installed")
    subprocess.run(["make", "-s", "ve/companion/sentinel"], cwd=ROOT, check=True, timeout=300)
    return PYTHON


@pytest.fixture
def failing_disk(tapemock_python):
    """over(folder): tapemock over a folder, which is there as it was, until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda folder: stack.enter_context(mounted(folder, folder, "--power-cut", python=tapemock_python))
