"""What a worker of production's settings writes."""

import pytest

from proc import wait_until

from .test_deliveries import prepared

ROOT_IS_FINE = "ignore:An entry for the specified gid,ignore:You're running the worker with superuser"


@pytest.fixture
def jobs(clone, redis):
    return prepared(clone, redis.url(7))


def test_a_worker_logs_nothing_but_json(jobs):
    """From its first line to what it says when it is told to end."""
    with jobs.worker(PYTHONWARNINGS=ROOT_IS_FINE) as worker:
        wait_until(lambda: "ready." in worker.output(), 60)
        worker.terminate()
        assert worker.wait(30) == 0
        lines = worker.output().splitlines()
    assert all(line.startswith('{"time"') for line in lines), lines
    assert "worker: Warm shutdown (MainProcess)" in "".join(lines)
