"""Tests of psycopg 3 with a real Postgres: a pool of connections, as DATABASE_URL asks for it."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from benchmarks.pool import sessions, site

from load import Load
from proc import wait_until

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'web %'"


@pytest.fixture
def url(postgres):
    return postgres.url(postgres.database(migrated=False))


@pytest.mark.parametrize("server", ["asgi", "wsgi"])
def test_requests_share_connections(tmp_path, url, server):
    """Twenty visitors at once use three sessions, which have production's limits. Ended ones are replaced."""
    with site(tmp_path, f"{url}?pool=3", SERVER=server, WEB_THREADS="9") as web, psycopg.connect(url) as database:
        for _ in range(2):
            with Load(web.port, "/50", 20) as load:
                wait_until(lambda: len(load.asked) > 60 and sessions(url) == 3, what="answers by three sessions")
            assert load.outcomes().keys() == {"200"}, web.process.output()
            assert web.get("/0").body == b"30s" and sessions(url) == 3
            database.execute(END)


def test_a_pool_that_is_used_up(tmp_path, url):
    """A request that gets no connection for five seconds fails, and the next one that gets one does not."""
    with site(tmp_path, f"{url}?pool=1") as web, ThreadPoolExecutor() as pool:
        long = pool.submit(web.get, "/25000")
        with psycopg.connect(url, autocommit=True) as database:
            wait_until(lambda: "pg_sleep" in str(database.execute("SELECT query FROM pg_stat_activity WHERE state"
                       " = 'active' AND pid <> pg_backend_pid()").fetchall()), what="the long query")
            failed = web.get("/0")
            database.execute(END)
        assert failed.status == 500 and failed.seconds > 4 and long.result().status == 500
        assert web.get("/0").status == 200
