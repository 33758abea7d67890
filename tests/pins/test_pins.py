"""Tests of the pins: they install on all platforms, and match the .in files. They need the network."""

import os
import re
import shutil

import pytest

from checkout import WRITTEN
from proc import ROOT, UV, VE_PYTHON, output, run
from slipway.make.uv import settings

PINS = [
    "requirements.txt",
    "examples/companions/requirements.txt",
    *sorted(
        str(path.relative_to(ROOT)) for folder in (ROOT, ROOT / "slipway") for path in folder.glob("requirements/*.txt")
    ),
]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PLATFORMS = ["x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin"]
# No version of gevent, which pyinfra needs, has a wheel there, so it is built from source.
NO_WHEEL = {("slipway/requirements/deploy.txt", "3.11", "aarch64-apple-darwin")}
# PyPI has no wheel of yattag, which is all Python. Only Cosmic Ray's reports in HTML, which nobody makes, use it.
OF_SOURCE = {"requirements/tests.txt": ("--no-binary", "yattag")}
# This machine's settings of pip and uv apply. Its indexes may be mirrors that each have a part of PyPI.
ENVIRONMENT = {"UV_INDEX_STRATEGY": "unsafe-best-match", **os.environ}


def uv(*args, cwd=ROOT):
    """Run uv as make does, with pip's settings."""
    return run([UV, *args], cwd=cwd, env=settings(ENVIRONMENT))


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("pins", PINS)
def test_wheels_for(pins, python, tmp_path):
    """Each file installs with every Python on every platform, from wheels only but for one, with hashes checked."""
    for platform in PLATFORMS:
        if (pins, python, platform) in NO_WHEEL:
            continue
        done = uv(
            "pip",
            "install",
            "--quiet",
            "--dry-run",
            "--target",
            tmp_path,
            "--python-version",
            python,
            "--python-platform",
            platform,
            "--only-binary",
            ":all:",
            *OF_SOURCE.get(pins, ()),
            "--require-hashes",
            "--no-deps",
            "-r",
            pins,
        )
        assert done.returncode == 0, f"{pins} on {platform}: {done.stderr}"


def hashes(text):
    """Return {package: its hashes} of a file of pins."""
    return {
        block.split("==")[0]: set(re.findall(r"--hash=sha256:(\w+)", block))
        for block in re.split(r"\n(?=\S+==)", text)
        if "==" in block
    }


def copy_pins(folder):
    """Copy the pins, and the files needed to compile them."""
    for name in ("slipway", "requirements", "examples/companions"):
        shutil.copytree(ROOT / name, folder / name, ignore=WRITTEN)
    for path in [*ROOT.glob("*.mk"), ROOT / "Makefile", *ROOT.glob("requirements.*")]:
        shutil.copy(path, folder)


def compile_pins(folder, env):
    (folder / "ve").symlink_to(VE_PYTHON.parent.parent)
    output(["make", "-C", folder, "-o", "ve/sentinel-dev", "requirements"], env=env)


def test_hashes_of_all_wheels(tmp_path):
    """Each file has the hashes of all wheels that PyPI has of a version, except a few newer ones: it was not compiled
    with an index that has only one machine's wheels."""
    copy_pins(tmp_path)
    for pins in PINS:  # uv looks up missing hashes
        (tmp_path / pins).write_text(re.sub(r" \\\n    --hash=\S+", "", (ROOT / pins).read_text()))
    env = {name: value for name, value in ENVIRONMENT.items() if name == "PIP_CERT" or not name.startswith("PIP_")}
    compile_pins(tmp_path, {**env, "PIP_CONFIG_FILE": os.devnull})
    for pins in PINS:
        ours, found = (hashes((folder / pins).read_text()) for folder in (ROOT, tmp_path))
        few = [name for name in found if len(found[name] - ours[name]) > len(found[name]) // 4]
        assert found and few == [], f"{pins}: run make upgrade with PyPI as the index"


def test_pins_are_not_stale(tmp_path):
    """make requirements changes no file: each .in was compiled after its last edit."""
    copy_pins(tmp_path)
    compile_pins(tmp_path, ENVIRONMENT)
    for pins in PINS:
        assert (tmp_path / pins).read_text() == (ROOT / pins).read_text(), f"{pins}: run make requirements"
