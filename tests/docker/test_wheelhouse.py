"""Tests of wheelhouse.py: the wheels that production installs, and their hashes."""

import hashlib

from proc import ROOT, output


# Run by a separate Python, as in the builder.
SORT = "import sys, pathlib, wheelhouse as m; m.sort(pathlib.Path(sys.argv[1]), m.pinned(sys.argv[2]))"
PINS = "django==5.2 \\\n --hash=sha256:0\nruamel-yaml[x] == 1.0 ; python_version > '3'\nA.B @ https://b/c\n"


def test_sort(tmp_path):
    """Production gets the wheels that its pins name, in any spelling; the other wheels are for tests. Hashes are
    computed from the wheels, as some are built here and not downloaded."""
    for name in ("Django-5.2", "ruamel.yaml-1.0", "a_b-2", "pytest-9"):  # as pip leaves them
        (tmp_path / f"{name}-py3-none-any.whl").write_text(name)
    output(["python3", "-c", SORT, tmp_path, PINS], cwd=ROOT / "slipway/make")
    names = {path.name for path in (tmp_path / "dev").glob("*.whl")}
    assert names == {"pytest-9-py3-none-any.whl"}
    lines = (tmp_path / "requirements.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["django==5.2", "a-b==2", "ruamel-yaml==1.0"]
    assert (tmp_path / "dev/requirements.txt").read_text().startswith("pytest==9 --hash=sha256:")
    digest = hashlib.sha256(b"Django-5.2").hexdigest()
    assert lines[0] == f"django==5.2 --hash=sha256:{digest}"
