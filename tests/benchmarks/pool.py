"""Compare a site whose requests share psycopg's pool with one where each connects to Postgres anew. Print ratios.

    make ve/psycopg/sentinel && ve/psycopg/bin/python tests/benchmarks/pool.py
"""

import contextlib
import sys
import tempfile
from pathlib import Path
from statistics import median

import psycopg

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])
from benchmarks.side_by_side import report  # noqa: E402
from load import Load  # noqa: E402
from ops.served import serve  # noqa: E402
from postgresql import new_postgres  # noqa: E402
from proc import wait_until  # noqa: E402

VISITORS = 16

# Its import opens a pool, which the workers, forks of this process, must not use.
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


@contextlib.contextmanager
def site(folder, url, **env):
    """Yield production's site, whose page /20 asks the database for 20 ms."""
    (folder / "pages.py").write_text(PAGES)
    (folder / "asking.py").write_text("from project.settings_docker import *\nROOT_URLCONF = 'pages'\n")
    with serve(folder, DJANGO_SETTINGS_MODULE="asking", SITE_URL="http://localhost", SECRET_KEY="0123456789abcdef" * 4,
               DATABASE_URL=url, BROKER_URL="redis://127.0.0.1:1", ROLE="web",
               **{"SERVER": "asgi", **env}) as serving:
        yield serving


def sessions(url):
    """Return the number of the site's sessions in Postgres."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'web %'"
    with psycopg.connect(url) as database:
        return database.execute(count).fetchone()[0]


def measured(folder, url, pool):
    """Print the number of sessions. Return a request's milliseconds, in the median."""
    with site(folder, url + pool) as serving, Load(serving.port, "/20", VISITORS) as load:
        wait_until(lambda: len(load.asked) > 50 * VISITORS, what="requests")
        print(pool or "without", sessions(url), "sessions")
    assert load.outcomes().keys() == {"200"}, load.outcomes()
    return median(asked.ended - asked.began for asked in load.asked) * 1000


def main():
    with new_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.url(postgres.database(migrated=False))
        for pool in ("?pool=16", "?pool=8", "?pool=4"):
            pairs = [[measured(Path(folder), url, each) for each in (pool, "")] for _ in range(3)]
            report(f"{VISITORS} visitors", pool, "none", pairs, "ms")


if __name__ == "__main__":
    main()
