"""Tests of metrics over several workers, even if one is killed."""

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from ops.served import metrics_of, serve
from proc import wait_until
from slipway.deploy.agent import http
from slipway.health.variables import BUILT_IN, publish

URLS = """
import os, threading
from decimal import Decimal
from pathlib import Path
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from slipway.health.variables import publish

@csrf_exempt
def answer(request, status):
    return HttpResponse(status=status)

def hang(request):
    Path(os.environ["HANGING"], f"{os.getpid()}.{threading.get_ident()}").touch()
    threading.Event().wait(120)

publish("orders_open", lambda: 3)
publish("turnover", lambda: {"eu": [Decimal("9.50"), True], "text": "7", "huge": 10 ** 400})
publish("broken", lambda: 1 / 0)
publish("odd", object)
urlpatterns = [path("status/<int:status>", answer), path("hang", hang)]
"""


@contextlib.contextmanager
def start(folder, url):
    """Run a site with two workers and the test's own pages."""
    (folder / "scratch_urls.py").write_text(URLS)
    (folder / "hanging").mkdir()
    with serve(
        folder,
        "ROOT_URLCONF = 'scratch_urls'\nDEBUG = False\n",
        DATABASE_URL=url,
        WEB_CONCURRENCY="2",
        HANGING=str(folder / "hanging"),
    ) as site:
        yield site


@pytest.fixture(scope="module")
def site(sqlite_url, tmp_path_factory):
    with start(tmp_path_factory.mktemp("a site"), sqlite_url) as site:
        yield site


def totals(site):
    said = site.figures()
    return {status: int(said[f'http_requests_total{{status="{status}"}}']) for status in ("2xx", "3xx", "4xx", "5xx")}


def load(site, number=90):
    """Send `number` requests over ten connections at once, a third each of 200, 404 and 500."""

    def some(share):
        connection = site.connection()
        for at in range(share, number, 10):
            status = (200, 404, 500)[at % 3]
            assert site.get(f"/status/{status}", connection=connection).status == status

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(some, range(10)))


def test_counted_right_over_workers(site):
    """Any worker answers with the sum over all workers. Probes are not counted."""
    before, told = totals(site), site.figures()
    load(site)
    for _ in range(10):
        added = {status: total - before[status] for status, total in totals(site).items()}
        assert added == {"2xx": 30, "3xx": 0, "4xx": 30, "5xx": 30}
        assert site.get("/debug/vars", unix=True).json()["requests"] == {"1xx": 0, **totals(site)}
        site.get("/healthz")
        site.get("/readyz")
    said = site.figures()
    for part in ('count{method="GET",status="2xx"}', 'bucket{le="+Inf",method="GET",status="4xx"}'):
        name = f"http_request_duration_seconds_{part}"
        assert said[name] - told.get(name, 0) == 30
    assert said["http_requests_in_flight"] == 0 and said['release_info{release="development"}'] == 1
    held = [value for name, value in said.items() if name.startswith("process_resident_memory_bytes")]
    seen = site.get("/debug/vars", unix=True).json()
    assert seen["workers"] == len(held) == 2 and all(20e6 < value < 500e6 for value in held)
    assert seen["memstats"]["Alloc"] > 2 * 20e6 and 0 < seen["uptime"] < 3600
    assert (seen["orders_open"], seen["broken"], seen["odd"]) == (3, None, None)
    assert seen["turnover"]["eu"] == [9.5, True]
    published = {name: value for name, value in said.items() if name.startswith("published")}
    assert published == {
        'published{name="orders_open"}': 3,
        'published{name="turnover.eu.0"}': 9.5,
        'published{name="turnover.eu.1"}': 1,
    }
    assert seen.keys() - {"orders_open", "turnover", "broken", "odd"} == BUILT_IN
    with pytest.raises(ValueError, match="choose another"):
        publish("uptime", int)
    assert "broken of /debug/vars is down: ZeroDivisionError" in site.process.output()
    assert seen["celery"] == {"worker": None, "beat": None, "waiting": {"celery": 0}, "dead": 0}
    assert http.ask(str(site.path), "/debug/vars", ("", "localhost"))[0] == 200, "an agent may see them"


def test_an_invented_method_makes_no_new_series(site):
    """All unknown methods are one label, as a visitor may send any."""
    assert site.get("/status/200", method="ODD").status == 200
    before = site.figures()
    for at in range(20):
        assert site.get("/status/200", method=f"ODD{at}").status == 200
    said, name = site.figures(), 'http_request_duration_seconds_count{method="OTHER",status="2xx"}'
    assert said[name] - before[name] == 20
    assert set(said) == set(before)


def test_a_killed_worker_leaves_right_figures(sqlite_url, site_folder):
    """After kill -9 of a worker its requests in flight are no longer counted, its other counts stay, and its successor
    continues in the same file."""
    with start(site_folder, sqlite_url) as site, ThreadPoolExecutor(3) as pool:
        load(site)
        lost = [pool.submit(site.get, "/hang") for _ in range(3)]  # one less than threads, so that one can answer
        hanging = wait_until(lambda: len(found := os.listdir(site_folder / "hanging")) == 3 and found)
        assert site.figures()["http_requests_in_flight"] == 3
        for pid in {name.partition(".")[0] for name in hanging}:
            os.kill(int(pid), signal.SIGKILL)
        assert all(request.exception(60) for request in lost)
        wait_until(lambda: (said := site.figures())["workers"] == 2 and said["http_requests_in_flight"] == 0)
        load(site)
        assert site.figures()["http_requests_in_flight"] == 0
        assert totals(site) == {"2xx": 60, "3xx": 0, "4xx": 60, "5xx": 60}
        numbers = {path.stem.rpartition("_")[2] for path in metrics_of(site.process).glob("counter_*.db")}
        assert numbers <= {"0", "1", "2"}, "successors write to the files of those before; 0 is their parent's"
