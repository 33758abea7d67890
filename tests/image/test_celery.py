"""Tests of beat in the image, with a real Postgres and Redis. The containers share the machine's network, because both
services listen only on the loopback."""

from proc import output, wait_until

HOST = ["--network=host"]
WAITS = "another beat is running"


def query(postgres, url, sql):
    """Return the one value that the query selects."""
    words = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", sql, url]
    return output([postgres.bin / "psql", *words]).strip()


def test_one_beat(run_container, postgres, redis):
    """A second beat waits while the first works, and takes over when that exits. A waiting beat exits on TERM. A beat
    whose connection is cut loses the lock, and at the end only one works."""
    env = {"DATABASE_URL": postgres.url(postgres.database()), "BROKER_URL": redis.url(), "PYTHONUNBUFFERED": "1"}

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
