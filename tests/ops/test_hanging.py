"""Tests of a cache or broker that hangs: pages that need it fail in time, and others are as fast as ever."""

import contextlib
import itertools
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest

from ops.served import serve
from proc import wait_until
from relay import Relay

LIMIT = 10  # seconds on the client's clock; 6 are promised, and a busy machine takes its time
STALL = 1.5  # seconds for which a service may be held up
NEEDS = {"redis": ["cached", "queued"], "rabbitmq": ["queued"]}
URLS = {
    "redis": {"BROKER_URL": "redis://127.0.0.1:{}/5", "CACHE_URL": "redis://127.0.0.1:{}/6"},
    "rabbitmq": {"BROKER_URL": "amqp://guest:guest@127.0.0.1:{}//"},
}
PATIENT = """
from slipway.jobs import task
task.SLOW = CELERY_BROKER_CONNECTION_TIMEOUT = CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 30
CELERY_BROKER_TRANSPORT_OPTIONS |= {"read_timeout": 30, "write_timeout": 30}
"""
WAYS = [*itertools.product(NEEDS, ["stopped", "no new connection"])]


# A site with production's settings, whose service hangs behind the relay.
Watched = namedtuple("Watched", "kind how relay site")


@pytest.fixture
def sites(redis, rabbitmq, sqlite_url, tmp_path):
    """Yield a site and a relay for each service and way to hang. All run at once, because they mostly wait."""
    relays = [Relay({"redis": redis, "rabbitmq": rabbitmq}[kind].port) for kind, _ in WAYS]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(WAYS)) as pool:

        def start(number):
            folder, relay = tmp_path / f"site {number}", stack.enter_context(contextlib.closing(relays[number]))
            folder.mkdir()
            site = stack.enter_context(production(folder, sqlite_url, relay, WAYS[number][0]))
            return Watched(*WAYS[number], relay, site)

        yield [*pool.map(start, range(len(WAYS)))]


def production(folder, database, relay, kind, more=""):
    (folder / "hanging.py").write_text(f"from project.settings_docker import *\nROOT_URLCONF = 'live'\n{more}")
    return serve(
        folder,
        DJANGO_SETTINGS_MODULE="hanging",
        ROLE="web",
        SITE_URL="http://localhost",
        SECRET_KEY="0123456789abcdef" * 4,
        DATABASE_URL=database,
        **{"BROKER_URL": "", **{name: url.format(relay.port) for name, url in URLS[kind].items()}},
    )


@contextlib.contextmanager
def silent(relay, how):
    """Make the service hang for the block: it does not answer on its connections, or accepts no new ones."""
    if how == "stopped":
        relay.flowing.clear()
    if how == "no new connection":
        relay.listening.clear()
        relay.hang_up()
    yield
    relay.flowing.set(), relay.listening.set()


def all_at_once(function, watched):
    """Call the function for each at the same time, and raise the first failure."""

    def call(each):
        try:
            function(each)
        except Exception as error:
            error.add_note(f"{each.kind}, {each.how}: {each.site.process.output()[-2000:]}")
            raise

    with ThreadPoolExecutor(len(watched)) as pool:
        list(pool.map(call, watched))


@pytest.mark.alone
def test_who_needs_it_waits_shortly_and_others_not_at_all(sites):
    """Eight visitors at once ask a site with four threads for the hanging service: each gets an error in time. Other
    pages are answered at once. All pages work as soon as the service does."""
    all_at_once(is_well, sites)
    all_at_once(outage, sites)


@pytest.mark.alone
def test_a_stall_costs_nobody_an_answer(sites):
    """A machine that pulls an image, or is busy otherwise, holds up a service for a moment. Visitors wait for it."""
    all_at_once(is_well, sites)
    all_at_once(stall, sites)


def stall(watched):
    site, needs = watched.site, NEEDS[watched.kind]
    with ThreadPoolExecutor(3) as pool:
        with silent(watched.relay, watched.how):
            waiting = [pool.submit(site.get, f"/{path}") for path in needs]
            time.sleep(STALL)
        answers = [each.result() for each in waiting]
    assert {answer.status for answer in answers} == {200} and min(answer.seconds for answer in answers) > STALL / 2


def is_well(watched):
    """Ask with eight clients at once, so that each thread of the site opens a connection."""
    with ThreadPoolExecutor(8) as pool:
        for path in ("plain", *NEEDS[watched.kind]):
            assert {answer.status for answer in pool.map(watched.site.get, [f"/{path}"] * 16)} == {200}


def outage(watched):
    site, needs = watched.site, NEEDS[watched.kind]
    with silent(watched.relay, watched.how):
        for path in needs:
            assert site.get(f"/{path}").seconds < LIMIT
        waits, plain = visited(site, needs)
    assert {answer.status for answer in waits} == {500} and max(answer.seconds for answer in waits) < LIMIT
    assert {answer.status for answer in plain} == {200} and median(answer.seconds for answer in plain) < 0.5
    for path in needs:
        wait_until(lambda: site.get(f"/{path}").status == 200, 20)


def visited(site, needs):
    """Visit for four seconds. Return the answers of pages that need the service, and of one that does not."""
    waits, plain, done = [], [], threading.Event()

    def visit(path):
        while not done.wait(0.2):
            waits.append(site.get(path))

    with ThreadPoolExecutor(8) as pool:
        visitors = [pool.submit(visit, f"/{needs[n % len(needs)]}") for n in range(8)]
        until = time.monotonic() + 4
        while time.monotonic() < until:
            plain.append(site.get("/plain"))
            time.sleep(0.1)
        done.set()
    for visitor in visitors:
        visitor.result()
    return waits, plain


def test_connections_that_ended_cost_nobody_a_task(rabbitmq, sqlite_url, tmp_path):
    """Each thread of the site keeps a connection, and threads may get each other's. Without a new connection for the
    second attempt, a tenth of these rounds met two dead ones in a row."""
    relay = Relay(rabbitmq.port)
    with production(tmp_path, sqlite_url, relay, "rabbitmq", PATIENT) as site, ThreadPoolExecutor(8) as pool:
        for _ in range(60):
            assert {answer.status for answer in pool.map(site.get, ["/queued"] * 16)} == {200}, site.process.output()
            relay.hang_up()
    relay.close()
