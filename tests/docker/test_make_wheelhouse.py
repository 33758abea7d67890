"""make_wheelhouse.py: which wheels production installs, and by which hashes."""

import hashlib

import pytest

from proc import ROOT, run


@pytest.fixture
def house(tmp_path):
    """A folder of wheels as pip leaves it."""
    for name in ("Django-5.2-py3-none-any.whl", "ruamel.yaml-1.0-py3-none-any.whl", "a_b-2-py3-none-any.whl",
                 "pytest-9-py3-none-any.whl"):
        (tmp_path / name).write_text(name)
    return tmp_path


def sort(house, pins):
    """Run its `sort` in a Python of its own, as in the builder."""
    code = ("import sys, pathlib, make_wheelhouse as m\n"
            "m.sort(pathlib.Path(sys.argv[1]), m.pinned(sys.argv[2]))")
    done = run(["python3", "-c", code, house, pins], cwd=ROOT / "make")
    assert done.returncode == 0, done.stderr


def test_sort(house):
    """Production gets what its pins name, however they are spelled; the rest is for tests. The hashes are of the wheels
    themselves, as some are made here and none was downloaded."""
    sort(house, "django==5.2 \\\n --hash=sha256:0\nruamel-yaml[x] == 1.0 ; python_version > '3'\nA.B @ https://b/c\n")
    names = {path.name for path in (house / "dev").glob("*.whl")}
    assert names == {"pytest-9-py3-none-any.whl"}
    lines = (house / "requirements.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["django==5.2", "a-b==2", "ruamel-yaml==1.0"]
    assert (house / "dev/requirements.txt").read_text().startswith("pytest==9 --hash=sha256:")
    digest = hashlib.sha256(b"Django-5.2-py3-none-any.whl").hexdigest()
    assert lines[0] == f"django==5.2 --hash=sha256:{digest}"
