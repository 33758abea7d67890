"""Disks that fail or lose power, by examples/companions/tapemock, which needs the companions' virtualenv."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

from proc import ROOT
from services import missing

sys.path.insert(0, str(ROOT / "examples/companions/tapemock"))
from tapemock.mounted import mounted  # noqa: E402

PYTHON = ROOT / "ve/companion/bin/python"


@pytest.fixture(scope="session")
def tapemock_python():
    """Return a Python with tapemock's packages, which make installs if they changed."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("/dev/fuse is not to be had here")
    if not shutil.which("fusermount3"):
        missing("fuse3")
    subprocess.run(["make", "-s", "ve/companion/sentinel"], cwd=ROOT, check=True, timeout=300)
    return PYTHON


@pytest.fixture
def failing_disk(tapemock_python):
    """Yield over(folder), which runs tapemock over an existing folder until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda folder: stack.enter_context(mounted(folder, folder, "--power-cut", python=tapemock_python))
