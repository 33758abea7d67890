"""/readyz tells the truth in time, whatever the parts do, and changes its mind when they are back."""

import contextlib
import math
import os
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ops.served import serve

from proc import wait_until
from relay import Relay
from postgresql import migrate

LIMIT = 2  # seconds by the client's clock
# A hanging part is waited for shortly, so that a busy machine has time left; test_readiness.py has the real seconds.
SHORT = "from slipway import readiness\nreadiness.DEADLINE = 0.5\n"


@pytest.fixture(scope="module")
def relay(postgres):
    relay = Relay(postgres.port)
    yield relay
    relay.close()


@pytest.fixture(scope="module")
def served(postgres, redis, relay, tmp_path_factory):
    """A site whose database is behind the relay, and whose broker and cache are Redis."""
    with serve(tmp_path_factory.mktemp("a site"), SHORT, DATABASE_URL=postgres.url(postgres.database(), relay.port),
               BROKER_URL=redis.url(0), CACHE_URL=redis.url(1), WEB_CONCURRENCY="2") as site:
        yield site


@pytest.fixture
def site(served):
    served.ready()
    return served


def test_all_is_well(site):
    """Ready: 200, the release, and for each part a state and milliseconds, nothing else; never kept; HEAD too."""
    answer = site.get("/readyz")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.headers["Content-Type"] == "application/json"
    told = answer.json()
    assert (told["release"], told["ready"]) == ("development", True)
    assert set(told["parts"]) == {"database", "migrations", "cache", "broker"}
    assert all(set(part) == {"state", "ms"} for part in told["parts"].values())
    head = site.get("/readyz", method="HEAD")
    assert (head.status, head.body) == (200, b"") and int(head.headers["Content-Length"]) > 0
    assert site.get("/readyz", method="POST").status == 405


def is_down(site, *names):
    """Once what was answered before is no longer shared, ask four times at once: each answer is 503 and names these
    parts and no others. Every answer is there in time."""
    answers = []

    def all_say_so():
        with ThreadPoolExecutor() as pool:
            answers.extend(pool.map(lambda _: site.get("/readyz"), range(4)))
        return all((answer.status, answer.down()) == (503, set(names)) for answer in answers[-4:])

    wait_until(all_say_so, 5, f"{names} are down")
    assert max(answer.seconds for answer in answers) < LIMIT
    return True


def test_who_asks_often_shares_an_answer(postgres, redis, site_folder):
    """Within a second of an answer no part is asked again: a hundred questions cost no more sessions of the database
    than two or three, and none is kept waiting."""
    relay = Relay(postgres.port)
    url = postgres.url(postgres.database(), relay.port)
    with serve(site_folder, DATABASE_URL=url, BROKER_URL=redis.url(0)) as site:
        site.ready()
        site.get("/readyz?beat")
        before, start = relay.connections, time.monotonic()
        for _ in range(50):
            assert site.get("/readyz").status == 200
            assert site.get("/readyz?beat").down() == {"worker", "beat"}
        seconds = time.monotonic() - start
        assert relay.connections - before <= 2 * math.ceil(seconds), (relay.connections - before, seconds)
    relay.close()


def test_database_that_falls_silent_on_an_open_connection(site, relay):
    """A connection that was made, whose queries get no answer: down in time, up when there are new connections. However
    often it is asked meanwhile, each worker has at most one thread that waits for the database."""
    relay.deaf = True
    try:
        is_down(site, "database")
        assert site.get("/healthz").status == 200
        before = threads(site)
        for _ in range(40):
            assert site.get("/readyz").seconds < LIMIT
        wait_until(lambda: threads(site) <= before + 2)
    finally:
        relay.deaf = False
        relay.hang_up()
    site.ready()


def threads(site):
    """The threads of all workers."""
    children = open(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read().split()
    return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in children)


def test_database_that_refuses(postgres, site_folder):
    """Nobody listens: down at once, up when the server is there. The answer says that, the log why: when it goes down
    and when it is back, not at each question."""
    relay = Relay(postgres.port)
    with serve(site_folder, DATABASE_URL=postgres.url(postgres.database(), relay.port)) as site:
        site.ready()
        relay.close()
        is_down(site, "database")
        assert b"127.0.0.1" not in site.get("/readyz").body
        again = Relay(postgres.port, relay.port)
        site.ready()
        again.close()
        log = site.process.output()
    assert log.count("database is down: OperationalError: ") == 1 and log.count("database is up again") == 1
    assert "Service Unavailable" not in log and "GET /readyz" not in log


def test_missing_migration(site_folder):
    """A database that lacks migrations answers, and is not ready; it is once they are there. Probes come before all
    else: any Host, plain http, no cookie, while the site's own pages refuse the one and redirect from the other."""
    strict = "DEBUG = False\nALLOWED_HOSTS = ['shop.example']\nSECURE_SSL_REDIRECT = True\n" \
             "SESSION_SAVE_EVERY_REQUEST = True\n"
    url = f"sqlite:///{site_folder}/db.sqlite3"
    with serve(site_folder, strict, DATABASE_URL=url) as site:
        is_down(site, "migrations")
        migrate(url)
        site.ready()
        assert site.get("/", {"Host": "shop.example"}).status == 301
        for path in ("/healthz", "/readyz"):
            for host in ("shop.example", "other.example", "10.0.0.1:80", "_", ""):
                answer = site.get(path, {"Host": host})
                assert (answer.status, answer.headers["Set-Cookie"]) == (200, None), (path, host)


def test_dead_redis_and_a_database_that_hangs_on_connect(site, redis, relay):
    """Broker and cache are down with Redis, and the database whose server takes connections and never answers."""
    redis.stop()
    relay.listening.clear()
    try:
        is_down(site, "broker", "cache", "database")
    finally:
        redis.start()
        relay.listening.set()
    site.ready()


def test_worker_and_beat_by_their_heartbeats(sqlite_url, site_folder):
    """/readyz?beat is down without heartbeats, up with fresh ones, down again with one of 151 s ago."""
    shutil.copy(sqlite_url.removeprefix("sqlite:///"), site_folder / "db.sqlite3")
    with serve(site_folder, DATABASE_URL=f"sqlite:///{site_folder}/db.sqlite3") as site:
        assert site.get("/readyz").status == 200
        assert site.get("/readyz?beat").down() == {"worker", "beat"}
        beat(site_folder, 0, "worker", "beat")
        wait_until(lambda: site.get("/readyz?beat").status == 200, 5)
        beat(site_folder, 151, "beat")
        wait_until(lambda: site.get("/readyz?beat").down() == {"beat"}, 5)


def beat(folder, age, *names):
    """Write heartbeats that are `age` seconds old."""
    with contextlib.closing(sqlite3.connect(folder / "db.sqlite3")) as database, database:
        for name in names:
            database.execute("INSERT OR REPLACE INTO slipway_heartbeat (name, at, host, release) "
                             "VALUES (?, datetime('now', ?), 'here', 'test')", (name, f"-{age} seconds"))
