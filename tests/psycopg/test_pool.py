"""Tests of psycopg 3 with a real Postgres: a pool of connections, as DATABASE_URL asks for it."""

import secrets

import pytest

from proc import ROOT, passed, python

ASK = """
import threading
import django
django.setup()
from django.db import OperationalError, close_old_connections, connection

def ask(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]

def request(sql="SELECT pg_backend_pid() FROM pg_sleep(0.05)"):
    said.append(ask(sql))
    close_old_connections()

def requests(number):
    threads = [threading.Thread(target=request) for _ in range(number)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

said = []
"""


@pytest.fixture
def web(postgres):
    """web(code): run code in a web process of production, with a pool of three connections. Return its output."""
    url = f"{postgres.url(postgres.database())}?pool=3"
    env = {"DJANGO_SETTINGS_MODULE": "project.settings_docker", "DATABASE_URL": url, "SITE_URL": "http://localhost",
           "SECRET_KEY": secrets.token_hex(32), "ROLE": "web"}
    return lambda code: passed(python("-c", ASK + code, cwd=ROOT, env=env)).stdout


def test_threads_share_connections(web):
    """Twenty threads at once use three connections, which have production's limits. Dead ones are replaced."""
    web("""
requests(20)
assert len(said) == 20 and 1 < len(set(said)) <= 3, said
assert ask("SHOW statement_timeout") == "30s" and ask("SHOW application_name").startswith("web ")
close_old_connections()
ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND datname = current_database()")
requests(20)
assert len(said) == 40, said
""")


def test_a_pool_that_is_used_up(web):
    """Whoever gets no connection for five seconds gets Django's error, which the site answers with 503."""
    web("""
held = [threading.Thread(target=request, args=["SELECT 1 FROM pg_sleep(8)"]) for _ in range(3)]
[thread.start() for thread in held]
while len(connection.pool._pool) or connection.pool.get_stats().get("pool_size", 0) < 3:
    pass
try:
    ask("SELECT 1")
except OperationalError as error:
    assert "5.0" in str(error), error
else:
    raise AssertionError("there is a fourth connection")
""")
