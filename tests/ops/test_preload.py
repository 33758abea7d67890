"""Tests of preloading: workers are forks of a process that has loaded the project, and behave as if they had."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from ops.served import serve
from proc import wait_until

# A careless library: its import uses database, cache and broker.
URLS = """
import os, random, sys
from pathlib import Path
from django.core.cache import cache
from django.db import connection
from django.http import JsonResponse
from django.urls import path
from slipway.tasks import heartbeat

shared = set()  # the modules that a worker has from the first process
os.register_at_fork(after_in_child=lambda: shared.update(sys.modules))

def used():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session = cursor.fetchone()[0]
    cache.set("key", 1)
    heartbeat.delay()
    return session

def who(request):
    session = used()
    # That of a descriptor which has just been closed names no socket.
    open_files = [os.path.realpath(f"/proc/self/fd/{fd}").split("/")[-1] for fd in os.listdir("/proc/self/fd")]
    return JsonResponse({"pid": os.getpid(), "session": session, "random": random.random(),
                         "cache": cache._cache.get_client(None).client_id(),
                         "sockets": [name for name in open_files if name.startswith("socket:")],
                         "own": sorted(set(sys.modules) - shared)})

used()
with open(os.environ["LOADED"], "a") as file:
    print(os.getpid(), file=file)
urlpatterns = [path("who", who)]
"""


def sockets(pid):
    """Return the sockets that a process has open."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(path))
    return {name for name in found if name.startswith("socket:")}


def as_new(site, gone):
    """Return what two workers answer that are not in `gone`, after asserting that they share only sockets of the first
    process: those on which they listen, and its connection to the cache, of which their client makes no use.

    They may end as soon as they have answered, so they tell their sockets themselves."""
    found = {}

    def two_have():
        answer = site.get("/who")
        assert answer.status == 200, answer.body
        found[answer.json()["pid"]] = answer.json()
        return len(found.keys() - gone) == 2

    wait_until(two_have, what="the answers of two workers")
    one, other = (found[pid] for pid in found.keys() - gone)
    assert all(one[key] != other[key] for key in ("session", "random", "cache")), (one, other)
    both = {*one["sockets"]} & {*other["sockets"]}
    assert both <= sockets(site.process.pid) and len(both) <= 3, (one, other)
    return one, other


@pytest.fixture
def site(site_folder, postgres, redis):
    """Yield production's site with two workers. site.loaded() returns the processes that have loaded it."""
    (site_folder / "careless.py").write_text(URLS)
    (site_folder / "preloaded.py").write_text("from project.settings_docker import *\nROOT_URLCONF = 'careless'\n")
    with serve(
        site_folder,
        "",
        ["--max-requests", "30", "--max-requests-jitter", "0"],
        ROLE="web",
        DJANGO_SETTINGS_MODULE="preloaded",
        SITE_URL="http://localhost",
        SECRET_KEY="0123456789abcdef" * 4,
        DATABASE_URL=postgres.url(postgres.database()),
        CACHE_URL=redis.url(3),
        BROKER_URL=redis.url(4),
        WEB_CONCURRENCY="2",
        LOADED=str(site_folder / "loaded"),
    ) as site:
        site.loaded = lambda: [int(line) for line in (site_folder / "loaded").read_text().split()]
        yield site


def test_loaded_once_and_shared_by_nobody(site):
    """Only the first process loads the project, and workers share nothing, also after max_requests and HUP."""
    assert site.loaded() == [site.process.pid]
    first = site.children()
    own = {name for answer in as_new(site, set()) for name in answer["own"]}
    assert not any(name.startswith(("redis", "kombu", "celery")) or ".migrations" in name for name in own), own

    def recycled():
        site.get("/who")
        return not site.children() & first

    wait_until(recycled, what="workers that follow")
    as_new(site, first)
    before = site.children()
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not site.children() & before, what="workers after HUP")
    as_new(site, before)
    assert site.loaded() == [site.process.pid]
