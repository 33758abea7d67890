"""Tests of a site under SERVER=asgi: the behaviour that it shares with WSGI, and open connections. For deploys see
tests/e2e/test_one_server.py."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from proc import append, wait_until

ID = "given-by-nginx-1"


@pytest.mark.parametrize("preload", ["true", "false"])
def test_at_its_end(site_of, site_folder, preload):
    """On TERM the site closes websockets with 1012, "service restart", ends streams of events at a complete event,
    answers pending requests, and exits."""
    with (
        site_of(WEB_PRELOAD=preload, MOST="60") as site,
        connect(f"ws://127.0.0.1:{site.port}/chat?after=0") as chat,
        ThreadPoolExecutor(2) as pool,
    ):
        chat.send("me 1")
        assert {chat.recv(10), chat.recv(10)} == {'{"kept": "me 1"}', '{"line": 0, "said": "me 1"}'}
        assert site.figures()["websockets_open"] == 1
        stream = pool.submit(site.get, "/events?after=0", unix=True)
        poll = pool.submit(site.get, "/poll?after=1")
        wait_until(lambda: site.figures()['http_requests_total{status="2xx"}'] == 1, what="the stream has begun")
        wait_until(lambda: site.figures()["http_requests_in_flight"] == 1, what="the poll waits")
        began = time.monotonic()
        site.process.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            chat.recv(20)
        assert closed.value.rcvd.code == 1012
        assert stream.result(20).body == b"id: 0\ndata: me 1\n\n"
        append(site_folder / "chat", "me 2\n")
        assert poll.result(20).json() == ["me 2"]
        assert site.process.wait(20) == 0 and time.monotonic() - began < 20, "gunicorn's own limit is 25 s"
        told = site.process.output()
    assert re.search(r"gunicorn.access \[[0-9a-f]{8}\] WEBSOCKET /chat 101 in ", told)
    assert "GET /events 200 in " in told and " ERROR " not in told


@pytest.mark.parametrize("server", ["asgi", "wsgi"])
def test_accepted_before_its_end(site_of, server):
    """A worker that stops answers a connection that it has accepted, even if the request comes half a second later."""
    with site_of("from slipway.web import asgi_worker\nasgi_worker.ARRIVES = 20\n", SERVER=server) as site:
        late = site.connection(unix=True)
        late.connect()
        site.process.terminate()
        time.sleep(0.5)  # a slow client
        assert site.get("/plain", connection=late).status == 200 and site.process.wait(30) == 0


def test_each_request_has_its_id_and_its_line(site_of):
    """Async views have the id too. A path is logged without its query, an error's traceback once, and probes never.
    /metrics answers only direct requests to the socket."""
    with site_of("DEBUG = False\nALLOWED_HOSTS = ['*']\n") as site:
        assert site.get("/readyz").status == 200 and site.get("/plain", method="HEAD").body == b""
        assert site.get("/metrics").status == 404 and site.get("/metrics", unix=True).status == 200
        assert site.get("/metrics", {"X-Forwarded-For": "192.0.2.1"}, unix=True).status == 404
        answer = site.get("/who?token=secret", {"X-Request-ID": ID}, unix=True)
        assert answer.body.decode() == answer.headers["X-Request-ID"] == ID
        assert site.get("/fail").status == 500 and site.get("/accounts/login/").status == 200
        told = wait_until(lambda: "/accounts/login/ 200" in (said := site.process.output()) and said)
    assert re.search(rf"INFO gunicorn.access \[{ID[:8]}\] GET /who 200 in [\d.]+ ms\n", told)
    assert told.count("RuntimeError: it fails") == 1 and "secret" not in told and "/readyz" not in told


def test_who_waits_stands_in_nobodys_way(site_of, site_folder):
    """In one process, many long polls, pages and views that block a thread run at the same time."""
    with site_of(MOST="60") as site, ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(site.get, path) for path in ["/poll?after=0"] * 30 + ["/block"] * 5]
        wait_until(lambda: site.figures()["http_requests_in_flight"] == 35)
        assert {site.get("/plain").status for _ in range(10)} == {200} and not any(each.done() for each in waiting)
        append(site_folder / "chat", "me 1\n")
        assert {each.result(60).status for each in waiting} == {200}
        assert site.figures()["http_requests_in_flight"] == 0


def test_workers_that_have_done_their_share(site_of):
    """A worker that exits after its maximum of requests loses no concurrent request."""
    limits = ("--max-requests", "200", "--max-requests-jitter", "0")
    with site_of(arguments=limits, WEB_CONCURRENCY="2") as site, ThreadPoolExecutor(4) as pool:
        statuses = {
            each.result(60).status
            for each in [
                pool.submit(site.get, "/plain", unix=True, headers={"Connection": "close"}) for _ in range(1500)
            ]
        }
        assert statuses == {200} and site.process.output().count("Booting worker") > 3
