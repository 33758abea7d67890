"""A cache, broker or database that hangs: pages that need it answer soon, all others as ever."""

import contextlib
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ops.relay import Relay
from ops.served import serve

from proc import wait_until

LIMITS = {"redis": 2.2, "rabbitmq": 2.2, "postgres": 6}  # seconds by the client's clock, of 2, 2 and 5 promised
NEEDS = {"redis": ["cached", "queued"], "rabbitmq": ["queued"], "postgres": ["read", "write"]}
WAYS = [*itertools.product(NEEDS, ["stopped", "no new connection"]), ("postgres", "no answer to a query")]

pytestmark = pytest.mark.alone


@pytest.fixture(params=NEEDS)
def kind(request):
    return request.param


@pytest.fixture
def server(request, kind):
    return request.getfixturevalue(kind)


@pytest.fixture
def relay(server):
    relay = Relay(server.port)
    yield relay
    relay.close()


@pytest.fixture
def site(kind, server, relay, site_folder, request):
    """Production's, which finds what will hang behind the relay."""
    (site_folder / "hanging.py").write_text("from project.settings_docker import *\nROOT_URLCONF = 'pages'\n")
    here, without = f"127.0.0.1:{relay.port}", {"BROKER_URL": ""}
    if kind == "postgres":
        env = {**without, "DATABASE_URL": server.url(server.database(), relay.port)}
    else:
        env = {"redis": {"BROKER_URL": f"redis://{here}/5", "CACHE_URL": f"redis://{here}/6"},
               "rabbitmq": {"BROKER_URL": f"amqp://guest:guest@{here}//"}}[kind]
        env["DATABASE_URL"] = request.getfixturevalue("sqlite_url")
    with serve(site_folder, DJANGO_SETTINGS_MODULE="hanging", ROLE="web", SITE_URL="http://localhost",
               SECRET_KEY="0123456789abcdef" * 4, **env) as site:
        for path in ("plain", *NEEDS[kind]):
            assert site.get(f"/{path}").status == 200, site.process.output()
        yield site


@contextlib.contextmanager
def silent(relay, server, how):
    """It hangs while the block runs: it has connections and answers nothing; or nobody takes new ones; or somebody
    does, as a pooler may, and it answers no query."""
    with server.paused() if how == "stopped" else contextlib.nullcontext():
        relay.deaf = how == "no answer to a query"
        if how == "no new connection":
            relay.listening.clear()
            relay.hang_up()
        yield
        relay.listening.set()
        if relay.deaf:
            relay.deaf = False
            relay.hang_up()


@pytest.mark.parametrize("kind, how", WAYS)
def test_who_needs_it_waits_shortly_and_others_not_at_all(kind, server, relay, site, how):
    """Eight visitors at a time want what hangs, of a site with four threads: each has an error in
    time; a page that does not need it is there at once. All is well as soon as the service is."""
    waits, done = [], threading.Event()

    def visit(path):
        while not done.is_set():
            waits.append(site.get(path))

    with silent(relay, server, how):
        visitors = [threading.Thread(target=visit, args=(f"/{NEEDS[kind][n % len(NEEDS[kind])]}",)) for n in range(8)]
        for path in NEEDS[kind]:
            assert site.get(f"/{path}").seconds < LIMITS[kind]
        for visitor in visitors:
            visitor.start()
        plain, until = [], time.monotonic() + 4
        while time.monotonic() < until:
            plain.append(site.get("/plain"))
            time.sleep(0.1)
        done.set()
        for visitor in visitors:
            visitor.join(10)
    assert {answer.status for answer in waits} == {500} and max(answer.seconds for answer in waits) < LIMITS[kind]
    assert {answer.status for answer in plain} == {200} and max(answer.seconds for answer in plain) < 1
    back = time.monotonic()
    for path in NEEDS[kind]:
        wait_until(lambda: site.get(f"/{path}").status == 200, 10)
    assert time.monotonic() - back < 5


def test_who_needs_what_is_gone_is_told_at_once(kind, server, relay, site):
    """Where nobody listens there is nothing to wait for; and the first who comes when it is back has what he wants."""
    relay.close()
    for path in NEEDS[kind] * 3:
        answer = site.get(f"/{path}")
        assert answer.status == 500 and answer.seconds < 1, (path, answer.seconds)
    again = Relay(server.port, relay.port)
    for path in NEEDS[kind]:
        assert site.get(f"/{path}").status == 200, path
    again.close()


@pytest.mark.parametrize("kind", ["postgres"])
def test_a_statement_may_take_its_time(site):
    """A server that answers others does not hang: who waits for a long statement gets what he waits for, and nobody
    else is kept from asking."""
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(site.get, "/slow")
        while not answer.done():
            assert site.get("/read").status == 200
            time.sleep(0.1)
    assert answer.result().status == 200, site.process.output()
