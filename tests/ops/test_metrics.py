"""The figures are right over several workers, whatever becomes of one."""

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from ops.served import serve

from proc import wait_until

URLS = """
import os, threading
from pathlib import Path
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

@csrf_exempt
def answer(request, status):
    return HttpResponse(status=status)

def hang(request):
    Path(os.environ["HANGING"], str(os.getpid())).touch()
    threading.Event().wait(120)

def fail(request):
    raise RuntimeError("broken\\non purpose")

urlpatterns = [path("status/<int:status>", answer), path("hang", hang), path("fail", fail)]
"""


@pytest.fixture
def start(sqlite_url, site_folder):
    """Start a site with pages of the test's own."""
    (site_folder / "scratch_urls.py").write_text(URLS)
    (site_folder / "hanging").mkdir()

    @contextlib.contextmanager
    def start(*arguments, **env):
        with serve(site_folder, "ROOT_URLCONF = 'scratch_urls'\nDEBUG = False\n", arguments, DATABASE_URL=sqlite_url,
                   WEB_CONCURRENCY="3", HANGING=str(site_folder / "hanging"), **env) as site:
            wait_until(lambda: workers(site) == 3)
            yield site
    return start


def workers(site):
    """How many have started."""
    return site.get("/debug/vars", unix=True).json()["workers"]


def figures(site):
    """What /metrics says, {name with labels: number}."""
    lines = site.get("/metrics", unix=True).body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def totals(site):
    said = figures(site)
    return {status: int(said[f'http_requests_total{{status="{status}"}}']) for status in ("2xx", "3xx", "4xx", "5xx")}


def load(site, number=90):
    """That many requests over ten connections at once, a third each of 200, 404 and 500."""
    def some(share):
        connection = site.connection()
        for at in range(share, number, 10):
            status = (200, 404, 500)[at % 3]
            assert site.get(f"/status/{status}", connection=connection).status == status
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(some, range(10)))


def test_counted_right_over_workers(start):
    """What many connections asked is the sum, whichever worker is asked for it; probes are not counted."""
    with start() as site:
        load(site)
        for _ in range(10):
            assert totals(site) == {"2xx": 30, "3xx": 0, "4xx": 30, "5xx": 30}
            said = site.get("/debug/vars", unix=True).json()
            assert said["requests"] == {"1xx": 0, "2xx": 30, "3xx": 0, "4xx": 30, "5xx": 30}
            site.get("/healthz")
            site.get("/readyz")
        said = figures(site)
        assert said['http_request_duration_seconds_count{method="GET",status="2xx"}'] == 30
        assert said['http_request_duration_seconds_bucket{le="+Inf",method="GET",status="4xx"}'] == 30
        assert said["http_requests_in_flight"] == 0 and said['release_info{release="development"}'] == 1
        assert 'worker_pid' not in str(said)


def test_an_invented_method_makes_no_new_series(start):
    """A visitor may send any method: those unknown are one."""
    with start() as site:
        before = len(figures(site))
        for at in range(20):
            assert site.get("/status/200", method=f"ODD{at}").status == 200
        said = figures(site)
        assert said['http_request_duration_seconds_count{method="OTHER",status="2xx"}'] == 20
        assert len(said) - before < 20


def test_debug_vars(start):
    """What expvar's readers look for, and the workers' memory in bytes."""
    with start() as site:
        said = site.get("/debug/vars", unix=True).json()
        assert {"cmdline", "memstats", "uptime", "release", "requests", "in_flight", "workers", "celery"} == set(said)
        assert said["workers"] == 3 and said["celery"] == {"worker": None, "beat": None}
        assert 3 * 20e6 < said["memstats"]["Alloc"] < 3 * 500e6 < said["memstats"]["Sys"] + 3 * 500e6
        held = [value for name, value in figures(site).items() if name.startswith("process_resident_memory_bytes")]
        assert len(held) == 3 and all(20e6 < value < 500e6 for value in held)


def test_a_killed_worker_leaves_right_figures(start, site_folder):
    """kill -9 amid requests: what it had in flight is no more, what it had counted stays, and its successor goes on."""
    with start() as site, ThreadPoolExecutor(4) as pool:
        load(site)
        lost = [pool.submit(site.get, "/hang") for _ in range(3)]  # one less than threads: a worker must stay to ask
        wait_until(lambda: figures(site)["http_requests_in_flight"] == 3)
        for pid in os.listdir(site_folder / "hanging"):
            os.kill(int(pid), signal.SIGKILL)
        assert all(request.exception(60) for request in lost)
        wait_until(lambda: workers(site) == 3)
        load(site)
        assert figures(site)["http_requests_in_flight"] == 0
        assert totals(site) == {"2xx": 60, "3xx": 0, "4xx": 60, "5xx": 60}


def test_recycled_workers_leave_no_more_files(start, site_folder):
    """Workers that end by max_requests are followed by others in the same files: as many as before, sums right."""
    folder = site_folder / "figures"
    folder.mkdir()
    (folder / "counter_9.db").write_bytes(b"left by a run before")
    with start("--max-requests", "10", "--max-requests-jitter", "0", PROMETHEUS_MULTIPROC_DIR=str(folder)) as site:
        for _ in range(60):
            assert site.get("/status/200").status == 200
        wait_until(lambda: site.process.output().count("Booting worker") > 6)
        assert totals(site)["2xx"] == 60
        numbers = {path.stem.rpartition("_")[2] for path in folder.glob("*.db")}
        assert numbers <= {"1", "2", "3", "4", "5", "6"}, numbers
        assert len({path.name for path in folder.glob("counter_*.db")}) == len(numbers)
