"""DRAIN: a site that is told to end goes on for so long, as its balancers have not heard of it yet. Then it ends as
ever: tests/image/test_production.py, and test_asgi.py for what stays connected."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ops.served import serve
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from proc import wait_until

DRAIN = 3  # seconds
LONG = "3600"
SERVERS = {"wsgi": "ROOT_URLCONF = 'pages'\n",
           "asgi": "ROOT_URLCONF = 'live'\nASGI_APPLICATION = 'live.application'\n"}


@pytest.fixture
def draining(site_folder, sqlite_url):
    """draining(server, seconds): a site with two processes, of either kind."""
    def serving(server="wsgi", seconds=LONG, **env):
        return serve(site_folder, SERVERS[server], SERVER=server, DRAIN=str(seconds), DATABASE_URL=sqlite_url,
                     WEB_CONCURRENCY="2", CHAT=str(site_folder / "chat"), **env)
    return serving


def told(site):
    """It has been told to end, and knows."""
    site.process.terminate()
    wait_until(lambda: "before the end" in site.process.output())


def ask(port, path):
    """(outcome, when it was there) of one request over a connection of its own."""
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            said = b"".join(iter(lambda: connection.recv(65536), b""))
        return said.partition(b"\r\n")[0].decode() or "nothing", time.monotonic()
    except OSError as error:
        return type(error).__name__, time.monotonic()


def children(site):
    """The workers' process ids."""
    path = Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children")
    return {int(pid) for pid in path.read_text().split()}


@pytest.mark.alone
@pytest.mark.parametrize("server", SERVERS)
def test_no_request_fails_meanwhile(draining, server):
    """50 a second, each over a connection of its own, from before TERM to the end: whatever is answered is answered
    well, /readyz too, and nobody is refused until the time is over; then everybody is."""
    with draining(server, DRAIN) as site, ThreadPoolExecutor(16) as pool:
        asked, began = [], time.monotonic()
        while site.process.poll() is None and time.monotonic() < began + 60:
            asked.append(pool.submit(ask, site.port, "/readyz" if len(asked) % 10 == 0 else "/plain"))
            if len(asked) == 50:
                site.process.terminate()
                at = time.monotonic()
            time.sleep(max(0, began + len(asked) / 50 - time.monotonic()))
        ended = time.monotonic()
        found = [each.result(60) for each in asked]
    failed = [(outcome, when - at) for outcome, when in found if outcome != "HTTP/1.1 200 OK"]
    assert all(when >= DRAIN for _, when in failed), failed
    assert sum(outcome == "HTTP/1.1 200 OK" and 0 < when - at < DRAIN for outcome, when in found) > 50
    assert DRAIN <= ended - at < DRAIN + 20 and site.process.returncode == 0
    assert ask(site.port, "/plain")[0] == "ConnectionRefusedError"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_ends_the_wait(draining, number):
    with draining() as site:
        told(site)
        assert site.get("/plain").status == 200
        site.process.send_signal(number)
        assert site.process.wait(30) == 0
        assert ask(site.port, "/plain")[0] == "ConnectionRefusedError"


def test_who_is_connected_is_told_at_the_true_end(draining):
    """A websocket goes on meanwhile, and new ones come; all are closed with 1012 in the end."""
    with draining("asgi") as site, connect(f"ws://127.0.0.1:{site.port}/chat?after=0") as first:
        told(site)
        with connect(f"ws://127.0.0.1:{site.port}/chat?after=0") as second:
            second.send("me 1")
            assert '{"kept": "me 1"}' in (second.recv(10), second.recv(10))
            assert first.recv(10) == '{"line": 0, "said": "me 1"}'
            site.process.terminate()
            for each in (first, second):
                with pytest.raises(ConnectionClosed) as closed:
                    each.recv(10)
                assert closed.value.rcvd.code == 1012
        assert site.process.wait(30) == 0


SECOND_IS_LATE = """import os, time
forks = []
os.register_at_fork(before=lambda: forks.append(1), after_in_child=lambda: time.sleep(8 * (len(forks) == 2)))
"""


@pytest.mark.parametrize("server", SERVERS)
def test_a_worker_that_is_just_forked_hears_of_the_end(site_folder, sqlite_url, server):
    """It has no handler yet when TERM comes, and gunicorn tells it once."""
    with serve(site_folder, SECOND_IS_LATE + SERVERS[server], ["--workers", "2"], SERVER=server,
               DATABASE_URL=sqlite_url, CHAT=str(site_folder / "chat")) as site:  # it waits for the first one alone
        wait_until(lambda: len(children(site)) == 2)
        began = time.monotonic()
        site.process.terminate()
        assert site.process.wait(60) == 0 and time.monotonic() - began < 20
