"""Tests of /readyz: a correct answer in time, whatever the parts do, and again after they recover."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ops.served import serve
from postgresql import migrate
from proc import wait_until
from relay import Relay

LIMIT = 20  # seconds on the client's clock
# A short wait for hanging parts leaves a busy machine some time. test_readiness.py tests the real seconds.
SHORT = "from slipway import readiness\nreadiness.DEADLINE = 0.5\n"


@pytest.fixture(scope="module")
def relay(postgres):
    relay = Relay(postgres.port)
    yield relay
    relay.close()


@pytest.fixture(scope="module")
def served(postgres, redis, relay, tmp_path_factory):
    """Yield a site with its database behind the relay, and Redis as broker and cache."""
    with serve(
        tmp_path_factory.mktemp("a site"),
        SHORT,
        DATABASE_URL=postgres.url(postgres.database(), relay.port),
        BROKER_URL=redis.url(0),
        CACHE_URL=redis.url(1),
        WEB_CONCURRENCY="2",
    ) as site:
        yield site


@pytest.fixture
def site(served):
    served.ready()
    return served


def is_down(site, *names):
    """Wait until four requests at once all get 503 with exactly these parts down, after the shared answer expired.
    Assert that each answer was in time."""
    answers = []

    def all_say_so():
        with ThreadPoolExecutor() as pool:
            answers.extend(pool.map(lambda _: site.get("/readyz"), range(4)))
        return all((answer.status, answer.down()) == (503, set(names)) for answer in answers[-4:])

    wait_until(all_say_so, 60, f"{names} are down")
    assert max(answer.seconds for answer in answers) < LIMIT


def test_database_that_falls_silent_on_an_open_connection(site, relay):
    """If queries on an open connection get no answer, the part is down in time, and up with new connections."""
    relay.deaf = True
    try:
        is_down(site, "database")
        assert site.get("/healthz").status == 200
    finally:
        relay.deaf = False
        relay.hang_up()
    site.ready()


def test_missing_migration(site_folder):
    """A database that lacks migrations is not ready until they are applied. Probes need no allowed Host, https or
    cookie, although other pages refuse a wrong Host and redirect http."""
    strict = (
        "DEBUG = False\nALLOWED_HOSTS = ['shop.example']\nSECURE_SSL_REDIRECT = True\n"
        "SESSION_SAVE_EVERY_REQUEST = True\n"
    )
    url = f"sqlite:///{site_folder}/db.sqlite3"
    with serve(site_folder, strict, DATABASE_URL=url) as site:
        is_down(site, "migrations")
        migrate(url)
        site.ready()
        assert site.get("/", {"Host": "shop.example"}).status == 301
        assert "GET /readyz" not in site.process.output()
        for path in ("/healthz", "/readyz"):
            for host in ("shop.example", "other.example", "10.0.0.1:80", "_", ""):
                answer = site.get(path, {"Host": host})
                assert (answer.status, answer.headers["Set-Cookie"]) == (200, None), (path, host)


def test_dead_redis_and_a_database_that_hangs_on_connect(site, redis, relay):
    """Without Redis, broker and cache are down; so is a database whose server accepts connections but never answers."""
    redis.stop()
    relay.listening.clear()
    try:
        is_down(site, "broker", "cache", "database")
    finally:
        redis.start()
        relay.listening.set()
    site.ready()
