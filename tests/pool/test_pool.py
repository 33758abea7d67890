"""Tests of psycopg 3 with a real Postgres: a pool of connections, as DATABASE_URL asks for it."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from load import Load
from ops.served import serve
from proc import wait_until

# Its import opens a pool, which the workers, forks of this process, must not use. The page /20 takes 20 ms.
PAGES = """
from django.db import connection
from django.http import HttpResponse
from django.urls import path

def ask(request, ms):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout') FROM pg_sleep(%s)", [ms / 1000])
        return HttpResponse(cursor.fetchone()[0])

ask(None, 0)
urlpatterns = [path("<int:ms>", ask)]
"""
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'web %'"
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'web %'"


@pytest.fixture
def url(postgres):
    return postgres.url(postgres.database(migrated=False))


def site(folder, url, **env):
    """Run production's site for the block."""
    (folder / "pages.py").write_text(PAGES)
    (folder / "asking.py").write_text("from project.settings_docker import *\nROOT_URLCONF = 'pages'\n")
    return serve(
        folder,
        DJANGO_SETTINGS_MODULE="asking",
        SITE_URL="http://localhost",
        DATABASE_URL=url,
        ROLE="web",
        SECRET_KEY="0123456789abcdef" * 4,
        BROKER_URL="redis://127.0.0.1:1",
        **{"SERVER": "asgi", **env},
    )


@pytest.mark.parametrize("server", ["asgi", "wsgi"])
def test_requests_share_connections(tmp_path, url, server):
    """Twenty visitors at once use three sessions, which have production's limits. Ended ones are replaced."""
    with (
        site(tmp_path, f"{url}?pool=3", SERVER=server, WEB_THREADS="9") as web,
        psycopg.connect(url, autocommit=True) as database,
    ):

        def three():
            return database.execute(COUNT).fetchone() == (3,)

        for _ in range(2):
            with Load(web.port, "/50", 20) as load:
                wait_until(lambda: len(load.asked) > 60 and three(), what="answers by three sessions")
            assert load.outcomes().keys() == {"200"}, web.process.output()
            assert web.get("/0").body == b"30s" and three()
            database.execute(END)


def test_a_pool_that_is_used_up(tmp_path, url):
    """A request that gets no connection for five seconds fails, and the next one that gets one does not."""
    with site(tmp_path, f"{url}?pool=1") as web, ThreadPoolExecutor() as pool:
        long = pool.submit(web.get, "/25000")
        with psycopg.connect(url, autocommit=True) as database:
            wait_until(
                lambda: (
                    "pg_sleep"
                    in str(
                        database.execute(
                            "SELECT query FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
                        ).fetchall()
                    )
                ),
                what="the long query",
            )
            failed = web.get("/0")
            database.execute(END)
        assert failed.status == 500 and failed.seconds > 4 and long.result().status == 500
        assert web.get("/0").status == 200
