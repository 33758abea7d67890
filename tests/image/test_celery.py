"""worker and beat in the image, with a real Postgres and Redis. The containers share the machine's network, as both
services listen on the loopback alone."""

import pytest

from proc import run, wait_until

HOST = ["--network=host", "--health-interval=1s", "--health-start-period=0s"]
WAITS = "another one is running"


@pytest.fixture
def env(postgres, redis):
    """Settings that name a migrated database of this test's own, and the broker."""
    return {"DATABASE_URL": postgres.url(postgres.database()), "BROKER_URL": redis.url(), "PYTHONUNBUFFERED": "1"}


def query(postgres, url, sql):
    """The one value of the answer."""
    done = run([postgres.bin / "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", sql, url])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def healthy(container):
    return container.state()["Health"]["Status"] == "healthy"


def test_worker_and_beat(run_container, env, one_off):
    """A task goes from beat through the broker to the worker; both are healthy, and a web process knows of both. They
    log one JSON object a line and nothing else; TERM ends an idle worker with exit 0."""
    beat = run_container("beat", options=HOST, env=env)
    worker = run_container("worker", options=HOST, env=env)
    worker.says("slipway.tasks.heartbeat")
    wait_until(lambda: healthy(worker) and healthy(beat), 90, "worker and beat are healthy")
    code = "from slipway import heartbeat; print({name: age < 90 for name, age in heartbeat.ages().items()})"
    done = one_off("shell", "-c", code, options=HOST, env=env)
    assert done.stdout.splitlines()[-1] == "{'worker': True, 'beat': True}", done.stdout + done.stderr
    assert worker.stop() == beat.stop() == 0
    for container in (beat, worker):
        assert all(line.startswith('{"time"') for line in container.logs().splitlines()), container.logs()


def test_one_beat(run_container, env, postgres):
    """A second beat waits while the first works, and takes over when it has ended; one that waits ends on TERM, too. A
    beat whose connection is cut loses the lock: one works in the end."""
    def beat(said):
        container = run_container("beat", options=HOST, env=env)
        container.says(said)
        return container

    first, second, third = beat("Schedule changed"), beat(WAITS), beat(WAITS)
    assert "Schedule changed" not in second.logs()
    assert third.stop() == first.stop() == 0
    second.says("Schedule changed")
    third = beat(WAITS)
    query(postgres, env["DATABASE_URL"], "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    wait_until(lambda: "Schedule changed" in third.logs() or second.logs().count("Schedule changed") > 1, 60)
    holders = query(postgres, env["DATABASE_URL"], "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert holders == "1"
