"""Tests of each companion that is a program, as an image."""

import pytest

from engine import docker
from proc import ROOT, run

COMPANIONS = sorted(path.parent.name for path in ROOT.glob("examples/companions/*/*/__main__.py"))


@pytest.mark.parametrize("companion", COMPANIONS)
def test_companion(name, companion):
    """The image is built, takes options from ARGS, and does not run as root."""
    image = f"{companion}:{name}"
    done = run(["make", "companion-image", f"NAME={companion}", f"TAG={name}"], 900, cwd=ROOT)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        said = docker("run", "--rm", "--env", "ARGS=--help", image).stdout
        assert said.startswith(f"usage: {companion} "), said
        assert docker("image", "inspect", "--format", "{{.Config.User}}", image).stdout == "10001:10001"
    finally:
        docker("image", "rm", "--force", image, check=False)
