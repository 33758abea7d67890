"""A cache or broker that hangs: pages that need it answer within 2 s, all others as ever."""

import contextlib
import os
import signal
import threading
import time

import pytest
from ops.relay import Relay
from ops.served import serve

from proc import wait_until

URLS = """
from django.core.cache import cache
from django.http import HttpResponse
from django.urls import path
from project.tasks import heartbeat

def plain(request):
    return HttpResponse("plain")

def cached(request):
    cache.set("key", 1)
    return HttpResponse(cache.get("key"))

def queued(request):
    heartbeat.delay()
    return HttpResponse("queued")

urlpatterns = [path("plain", plain), path("cached", cached), path("queued", queued)]
"""
LIMIT = 2.2  # seconds by the client's clock, for an answer promised within 2
NEEDS = {"redis": ["cached", "queued"], "rabbitmq": ["queued"]}


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
def site(kind, server, relay, site_folder, sqlite_url):
    """Production's, whose broker, and cache where it is Redis, is behind the relay."""
    (site_folder / "hanging_urls.py").write_text(URLS)
    (site_folder / "hanging.py").write_text("from project.settings_docker import *\nROOT_URLCONF = 'hanging_urls'\n")
    here = f"127.0.0.1:{relay.port}"
    env = {"redis": {"BROKER_URL": f"redis://{here}/5", "CACHE_URL": f"redis://{here}/6"},
           "rabbitmq": {"BROKER_URL": f"amqp://guest:guest@{here}//"}}[kind]
    with serve(site_folder, DJANGO_SETTINGS_MODULE="hanging", ROLE="web", SITE_URL="http://localhost",
               SECRET_KEY="0123456789abcdef" * 4, DATABASE_URL=sqlite_url, **env) as site:
        for path in ("plain", *NEEDS[kind]):
            assert site.get(f"/{path}").status == 200, site.process.output()
        yield site


@contextlib.contextmanager
def silent(relay, server, how):
    """It hangs while the block runs: it has connections and answers nothing, or nobody takes new connections."""
    if how == "stopped":
        os.killpg(server.process.pid, signal.SIGSTOP)
    else:
        relay.listening.clear()
        relay.hang_up()
    try:
        yield
    finally:
        relay.listening.set()
        os.killpg(server.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("how", ["stopped", "no new connection"])
def test_who_needs_it_waits_2_s_and_others_not_at_all(kind, server, relay, site, how):
    """Eight visitors at a time want what hangs, of a site with four threads: each has an error within 2 s, but for the
    first ones soon; a page that needs neither is there at once. All is well as soon as the service is."""
    waits, done = [], threading.Event()

    def visit(path):
        while not done.is_set():
            waits.append(site.get(path))

    with silent(relay, server, how):
        visitors = [threading.Thread(target=visit, args=(f"/{NEEDS[kind][n % len(NEEDS[kind])]}",)) for n in range(8)]
        for path in NEEDS[kind]:
            assert site.get(f"/{path}").seconds < LIMIT
        for visitor in visitors:
            visitor.start()
        plain, until = [], time.monotonic() + 4
        while time.monotonic() < until:
            plain.append(site.get("/plain"))
            time.sleep(0.1)
        done.set()
        for visitor in visitors:
            visitor.join(10)
    assert {answer.status for answer in waits} == {500} and max(answer.seconds for answer in waits) < LIMIT
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
