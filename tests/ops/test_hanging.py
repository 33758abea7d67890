"""A cache or broker that hangs: pages that need it answer soon, all others as ever. A database that is gone or busy."""

import contextlib
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from ops.served import Site, serve

from postgresql import new_pooler
from proc import wait_until
from relay import Relay
from services import Server

LIMIT = 2.2  # seconds by the client's clock, of 2 promised
NEEDS = {"redis": ["cached", "queued"], "rabbitmq": ["queued"], "postgres": ["read", "write"]}
WAYS = [*itertools.product(["redis", "rabbitmq"], ["stopped", "no new connection"]), ("postgres", "gone")]


@dataclass
class Watched:
    """Production's site, which finds what will hang, and how, behind the relay."""

    kind: str
    how: str
    server: Server
    relay: Relay
    site: Site


@pytest.fixture(scope="module")
def sites(redis, rabbitmq, postgres, sqlite_url, tmp_path_factory):
    """A site and a relay for each way to hang: they wait more than they work, so all do it at once."""
    servers = {"redis": redis, "rabbitmq": rabbitmq, "postgres": postgres}
    relays = [Relay(servers[kind].port) for kind, _ in WAYS]
    envs = [{"DATABASE_URL": sqlite_url, "BROKER_URL": "", **behind(servers[kind], relay, kind)}
            for (kind, _), relay in zip(WAYS, relays)]
    folders = [tmp_path_factory.mktemp("a site") for _ in WAYS]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(WAYS)) as pool:
        sites = pool.map(lambda folder, env: stack.enter_context(production(folder, env)), folders, envs)
        watched = [Watched(*way, servers[way[0]], *both) for way, *both in zip(WAYS, relays, sites)]
        yield watched
        for each in watched:
            each.relay.close()
            each.site.process.terminate()


def behind(server, relay, kind):
    """The variables that lead to a service through the relay."""
    here = f"127.0.0.1:{relay.port}"
    if kind == "postgres":
        return {"DATABASE_URL": server.url(server.database(), relay.port)}
    return {"redis": {"BROKER_URL": f"redis://{here}/5", "CACHE_URL": f"redis://{here}/6"},
            "rabbitmq": {"BROKER_URL": f"amqp://guest:guest@{here}//"}}[kind]


def production(folder, env):
    (folder / "hanging.py").write_text("from project.settings_docker import *\nROOT_URLCONF = 'pages'\n")
    return serve(folder, DJANGO_SETTINGS_MODULE="hanging", ROLE="web", SITE_URL="http://localhost",
                 SECRET_KEY="0123456789abcdef" * 4, **env)


@contextlib.contextmanager
def silent(relay, how):
    """It hangs while the block runs: it has connections and answers nothing; or nobody takes new ones."""
    if how == "stopped":
        relay.flowing.clear()
    if how == "no new connection":
        relay.listening.clear()
        relay.hang_up()
    yield
    relay.flowing.set(), relay.listening.set()


def all_at_once(function, watched):
    """Call it for each; the first that fails is told."""
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
    """Eight visitors at a time want what hangs, of a site with four threads: each has an error in
    time; a page that does not need it is there at once. All is well as soon as the service is."""
    all_at_once(is_well, sites)
    all_at_once(outage, [watched for watched in sites if watched.how != "gone"])


def is_well(watched):
    """By eight at a time, so that each thread of the site has a connection."""
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
    assert {answer.status for answer in plain} == {200} and max(answer.seconds for answer in plain) < 1
    back = time.monotonic()
    for path in needs:
        wait_until(lambda: site.get(f"/{path}").status == 200, 10)
    assert time.monotonic() - back < 5


def visited(site, needs):
    """For four seconds: the answers of pages that need it, and of one that does not."""
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


@pytest.mark.alone
def test_who_needs_what_is_gone_is_told_at_once(sites):
    """Where nobody listens there is nothing to wait for; and the first who comes when it is back has what he wants."""
    all_at_once(gone, [watched for watched in sites if watched.how != "no new connection"])


def gone(watched):
    is_well(watched)
    watched.relay.close()
    for path in NEEDS[watched.kind] * 3:
        answer = watched.site.get(f"/{path}")
        assert answer.status == 500 and answer.seconds < 1, (path, answer.seconds)
    watched.relay = Relay(watched.server.port, watched.relay.port)
    is_well(watched)


def test_connections_that_ended_cost_nobody_a_task(rabbitmq, sqlite_url, tmp_path):
    """Each thread of the site keeps one, and they may get each other's: before the second attempt had its own, a tenth
    of these rounds met two dead ones in a row."""
    relay = Relay(rabbitmq.port)
    env = {"DATABASE_URL": sqlite_url, "BROKER_URL": "", **behind(rabbitmq, relay, "rabbitmq")}
    with production(tmp_path, env) as site, ThreadPoolExecutor(8) as pool:
        for _ in range(60):
            assert {answer.status for answer in pool.map(site.get, ["/queued"] * 16)} == {200}, site.process.output()
            relay.hang_up()
    relay.close()


def test_a_pooler_of_transactions(postgres, tmp_path):
    """PgBouncer with two sessions, both busy for seconds: who asks meanwhile waits, and nobody gets an error. What is
    read in pieces is read whole, by many at a time."""
    with new_pooler(postgres, sessions=2) as pooler, ThreadPoolExecutor(8) as pool:
        env = {"DATABASE_URL": pooler.url(), "DATABASE_POOLER": "true", "BROKER_URL": "", "WEB_THREADS": "8",
               "PGOPTIONS": "-c lock_timeout=10s"}  # as a deploy's migrations have it
        with production(tmp_path, env) as site:
            answers = pool.map(site.get, ["/slow"] * 2 + ["/read"] * 6)
            assert [answer.status for answer in answers] == [200] * 8, site.process.output()
            answers = pool.map(site.get, ["/iterated"] * 40)
            assert [answer.status for answer in answers] == [200] * 40, site.process.output()
