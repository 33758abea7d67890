"""tapemock in front of a directory of the machine's own file system, and helpers for calls."""

import errno
import os

import pytest

pytest_plugins = ["tapemock.mounted"]


@pytest.fixture
def tapemock(tapemock):
    yield tapemock
    assert "Traceback" not in tapemock.errors()


@pytest.fixture
def disk(tmp_path):
    """Yield a tapemock with --power-cut. It has a synced file, old/file, with the text `before`."""
    from tapemock.mounted import mounted  # here, because pytest must import this plugin first

    (tmp_path / "source/old").mkdir(parents=True)
    (tmp_path / "source/old/file").write_text("before")
    with mounted(tmp_path / "source", tmp_path / "mount", "--power-cut") as running:
        yield running
        assert "Traceback" not in running.errors()


def raised(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def on(path, call, flags=os.O_RDWR):
    handle = os.open(path, flags, 0o644)
    try:
        return call(handle)
    finally:
        os.close(handle)
