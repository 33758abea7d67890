"""/readyz tells the truth in time, whatever the parts do, and changes its mind when they are back."""

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
    told = answer.json()
    assert (told["release"], told["ready"]) == ("development", True)
    assert {name: {*part} for name, part in told["parts"].items()} == {
        name: {"state", "ms"} for name in ("database", "migrations", "cache", "broker")}
    assert site.get("/readyz", method="HEAD").body == b"" and site.get("/readyz", method="POST").status == 405


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


def test_database_that_falls_silent_on_an_open_connection(site, relay):
    """A connection that was made, whose queries get no answer: down in time, up when there are new connections."""
    relay.deaf = True
    try:
        is_down(site, "database")
        assert site.get("/healthz").status == 200
    finally:
        relay.deaf = False
        relay.hang_up()
    site.ready()


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
        assert "GET /readyz" not in site.process.output()
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
