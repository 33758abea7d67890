"""gunicorn's settings, as the server shows them."""

import os
import socket
import stat
from pathlib import Path

import pytest
from ops.served import short_folder

from connect import connection_to
from proc import ROOT, VE_PYTHON, free_port, run, running, wait_until

COMMAND = [VE_PYTHON, "-m", "gunicorn", "-c", "python:project.ops.gunicorn"]


@pytest.fixture
def environment(sqlite_url, tmp_path):
    return {**os.environ, "DATABASE_URL": sqlite_url, "BROKER_URL": "memory://", "CACHE_URL": "locmem://",
            "TMPDIR": str(tmp_path), "WEB_CONCURRENCY": "1"}


def test_on_a_socket(environment, tmp_path):
    """SOCKET: it is there, whoever may enter its folder may connect, and TERM ends it in time with nothing left."""
    with short_folder() as folder:
        path = folder / "web.sock"
        with running(COMMAND, cwd=ROOT, env={**environment, "SOCKET": str(path), "PORT": "1"}) as process:
            connection = wait_until(lambda: connected(path))  # the file is there before anybody listens
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
            assert figures(process, tmp_path)
            process.terminate()
            assert process.wait(30) == 0
        assert not path.exists() and not figures(process, tmp_path)


def connected(path):
    connection = connection_to(path)
    connection.connect()
    return connection


def figures(process, tmp):
    """The folder of the workers' figures."""
    return [path for folder in (Path("/dev/shm"), tmp) for path in folder.glob(f"metrics-{process.pid}-*")]


def test_on_a_port(environment):
    """PORT, on every address of this machine."""
    port = free_port()
    with running(COMMAND, cwd=ROOT, env={**environment, "PORT": str(port)}) as process:
        wait_until(lambda: socket.create_connection(("127.0.0.1", port), timeout=5).close() is None)
        wait_until(lambda: f"http://0.0.0.0:{port}" in process.output(), what="it says so, having listened already")


def test_all_that_is_wrong_is_told_before_anything_starts(environment):
    """One line each for malformed settings, project's or gunicorn's own; exit 64, no traceback, nothing starts."""
    for wrong, names in (({"PORT": "http", "WEB_CONCURRENCY": "0"}, ("PORT", "WEB_CONCURRENCY")),
                         ({"DATABASE_URL": "postgres:/x", "CACHE_URL": "x"}, ("DATABASE_URL", "CACHE_URL"))):
        done = run(COMMAND, cwd=ROOT, env={**environment, **wrong})
        assert done.returncode == 64
        told = (done.stdout + done.stderr).splitlines()
        assert [line.split()[:2] for line in told] == [["settings:", name] for name in names], told


def test_workers_end_at_different_times(environment):
    """After so many requests each, and up to half as many more: as long as all serve alike, they end in turn."""
    done = run([*COMMAND, "--print-config"], cwd=ROOT, env=environment)
    config = {name.strip(): value for name, _, value in (line.partition(" = ") for line in done.stdout.splitlines())}
    assert done.returncode == 0, done.stderr
    assert int(config["max_requests"]) == 10_000 and int(config["max_requests_jitter"]) == 5_000, config
