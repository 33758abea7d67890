"""Tests of docker-runner on a server whose disk fails: one line names the file, and no container starts."""

import pytest

from host.conftest import server  # noqa: F401  a fixture


@pytest.mark.parametrize("path", ["var/www/shop/TAG", "etc/default/shop", "etc/default/shop.env"])
@pytest.mark.parametrize("operation", ["open", "read"])
def test_a_file_that_cannot_be_read(path, operation, server, failing_disk):  # noqa: F811
    disk = failing_disk(server.root)
    with disk.failing(path, operation, errno="EIO"):
        done = server("shop", "migrate")
    assert done.stderr.lower() == f"docker-runner: {server.root}/{path} cannot be read: input/output error\n".lower()
    assert done.returncode == 74 and server.calls() == []
    assert server("shop", "migrate").returncode == 0
