"""Tests of wheelhouse.py: the wheels that production installs, and their hashes."""

import hashlib

import pytest

from proc import ROOT, run


@pytest.fixture
def house(tmp_path):
    """Return a folder of wheels as pip leaves it."""
    for name in ("Django-5.2-py3-none-any.whl", "ruamel.yaml-1.0-py3-none-any.whl", "a_b-2-py3-none-any.whl",
                 "pytest-9-py3-none-any.whl"):
        (tmp_path / name).write_text(name)
    return tmp_path


def sort(house, pins):
    """Run wheelhouse.sort in a separate Python, as in the builder."""
    code = ("import sys, pathlib, wheelhouse as m\n"
            "m.sort(pathlib.Path(sys.argv[1]), m.pinned(sys.argv[2]))")
    done = run(["python3", "-c", code, house, pins], cwd=ROOT / "slipway/make")
    assert done.returncode == 0, done.stderr


def test_sort(house):
    """Production gets the wheels that its pins name, in any spelling; the other wheels are for tests. Hashes are
    computed from the wheels, as some are built here and not downloaded."""
    sort(house, "django==5.2 \\\n --hash=sha256:0\nruamel-yaml[x] == 1.0 ; python_version > '3'\nA.B @ https://b/c\n")
    names = {path.name for path in (house / "dev").glob("*.whl")}
    assert names == {"pytest-9-py3-none-any.whl"}
    lines = (house / "requirements.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["django==5.2", "a-b==2", "ruamel-yaml==1.0"]
    assert (house / "dev/requirements.txt").read_text().startswith("pytest==9 --hash=sha256:")
    digest = hashlib.sha256(b"Django-5.2-py3-none-any.whl").hexdigest()
    assert lines[0] == f"django==5.2 --hash=sha256:{digest}"
