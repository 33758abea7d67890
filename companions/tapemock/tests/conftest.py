"""tapemock before a directory of the machine's own file system."""

import os

import pytest

pytest_plugins = ["tapemock.mounted"]


@pytest.fixture
def tapemock(tapemock):
    yield tapemock
    assert "Traceback" not in tapemock.said()


@pytest.fixture
def disk(tmp_path):
    """With copies of what is synced; there is old/file, with `before`."""
    from tapemock.mounted import mounted  # a plugin, which pytest is to import first
    (tmp_path / "copies").mkdir()
    (tmp_path / "source/old").mkdir(parents=True)
    (tmp_path / "source/old/file").write_text("before")
    with mounted(tmp_path / "source", tmp_path / "mount", "--power-cut", str(tmp_path / "copies")) as running:
        yield running
        assert "Traceback" not in running.said()
    assert os.listdir(tmp_path / "copies") == []
