"""The project is loaded once, and the workers are forks of who has loaded it: each as if it had loaded it alone."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
from ops.served import serve

from proc import wait_until

# What a careless library does when it is imported: it uses database, cache and broker.
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
    return JsonResponse({"pid": os.getpid(), "session": session, "random": random.random(),
                         "own": sorted(set(sys.modules) - shared)})

used()
with open(os.environ["LOADED"], "a") as file:
    print(os.getpid(), file=file)
urlpatterns = [path("who", who)]
"""


def children(site):
    """The pids of the workers."""
    path = Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children")
    return {int(pid) for pid in path.read_text().split()}


def sockets(pid):
    """What a process has open to talk to others."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(path))
    return {name for name in found if name.startswith("socket:")}


def answers(site, pids):
    """{pid: what it says}, once each of those workers has answered."""
    found = {}

    def all_have():
        answer = site.get("/who")
        assert answer.status == 200, answer.body
        found[answer.json()["pid"]] = answer.json()
        return pids <= set(found)
    wait_until(all_have, what="each worker's answer")
    return found


def as_new(site, pids):
    """The workers work, and share nothing but what they listen at."""
    found = answers(site, pids)
    for key in ("session", "random"):
        assert len({answer[key] for answer in found.values()}) == len(found), found
    one, other = (sockets(pid) for pid in pids)
    assert one & other == sockets(site.process.pid) and len(one & other) == 2, (one, other)


@pytest.fixture
def site(site_folder, postgres, redis):
    """Production's, with two workers; site.loaded() tells which processes have loaded it."""
    (site_folder / "careless.py").write_text(URLS)
    (site_folder / "preloaded.py").write_text("from project.settings_docker import *\nROOT_URLCONF = 'careless'\n")
    with serve(site_folder, "", ["--max-requests", "30", "--max-requests-jitter", "0"], ROLE="web",
               DJANGO_SETTINGS_MODULE="preloaded", SITE_URL="http://localhost", SECRET_KEY="0123456789abcdef" * 4,
               DATABASE_URL=postgres.url(postgres.database()), CACHE_URL=redis.url(3), BROKER_URL=redis.url(4),
               WEB_CONCURRENCY="2", LOADED=str(site_folder / "loaded")) as site:
        site.loaded = lambda: [int(line) for line in (site_folder / "loaded").read_text().split()]
        yield site


def test_loaded_once_and_shared_by_nobody(site):
    """Workers, those that follow them after max_requests, and after HUP: all are alike."""
    assert site.loaded() == [site.process.pid]
    first = children(site)
    as_new(site, first)
    own = {name for answer in answers(site, first).values() for name in answer["own"]}
    assert not any(name.startswith(("redis", "kombu", "celery")) or ".migrations" in name for name in own), own

    def recycled():
        site.get("/who")
        return len(children(site)) == 2 and not children(site) & first
    wait_until(recycled, what="workers that follow")
    wait_until(lambda: site.workers() == 2)
    as_new(site, children(site))
    before = children(site)
    site.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(children(site)) == 2 and not children(site) & before and site.workers() == 2)
    as_new(site, children(site))
    assert site.loaded() == [site.process.pid]
