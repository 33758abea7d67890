"""tapemock before a directory of the machine's own file system."""

import pytest

pytest_plugins = ["tapemock.mounted"]


@pytest.fixture
def tapemock(tapemock):
    yield tapemock
    assert "Traceback" not in tapemock.said()
