"""Twelve who guess passwords at once take neither the memory nor the threads of the site."""

import contextlib
import re
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ops.served import serve

from connect import connection_to
from proc import ROOT

PAGE = "/admin/login/"
SETTINGS = """
DEBUG = False
ALLOWED_HOSTS = ["*"]
"""


def resident(site):
    """Bytes that the workers hold."""
    pids = Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read_text().split()
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in pids)


def guess(site, number, until):
    """The statuses that one gets who tries a name after another, each with a form of its own."""
    statuses = []
    while time.monotonic() < until:
        statuses.append(sign_in(site, f"name{len(statuses)}", {"X-Forwarded-For": f"192.0.2.{number}"}))
    return statuses


ODDITIES = [
    ("x" * 256, {}, "", 400), ("x" * 255, {}, "", 200), ("%00", {}, "", 200), ("a%ED%A0%80", {}, "", 200),
    ("b", {"User-Agent": "x" * 1000, "Accept": "x" * 2000}, "?next=" + "x" * 2000, 200), ("c", {}, "?next=%00", 200),
    ("d", {"X-Forwarded-For": "fe80::1%" + "x" * 300}, "", 200), ("e", {"X-Forwarded-For": "x" * 300}, "", 200)]


def sign_in(site, name, headers, query=""):
    """The status that one gets who signs in with a form of his own."""
    page = site.get(PAGE, unix=True)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode())[1]
    connection = site.connection(unix=True)
    connection.request("POST", PAGE + query, f"csrfmiddlewaretoken={token}&username={name}&password=guess".encode(), {
        "Cookie": page.headers["Set-Cookie"].partition(";")[0], "Content-Type": "application/x-www-form-urlencoded",
        **headers})
    return connection.getresponse().status


def test_slow_clients_without_nginx(sqlite_url, site_folder):
    """Twenty who send half a request, to the site as compose.yaml has it: others are answered."""
    env = dict(re.findall(r"^ +(WEB_\w+): (\d+)$", (ROOT / "compose.yaml").read_text(), re.MULTILINE))
    with serve(site_folder, DATABASE_URL=sqlite_url, **env) as site, contextlib.ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert site.get("/healthz", connection=connection_to(site.port, timeout=10)).status == 200


@pytest.mark.alone
def test_twelve_attackers(postgres, site_folder):
    """While they go on, each gets an answer, a worker holds but for a little what it held before, and other visitors
    are answered. PostgreSQL takes no text that is too long or has a NUL, wherever one puts it: that is no error."""
    with serve(site_folder, SETTINGS, DATABASE_URL=postgres.url(postgres.database())) as site:
        for name, headers, query, status in ODDITIES:
            assert sign_in(site, name, headers, query) == status, site.process.output()
        guess(site, 99, time.monotonic() + 0.5)  # what has to be loaded is
        before, most, visitors, until = resident(site), 0, [], time.monotonic() + 3
        with ThreadPoolExecutor(12) as pool:
            attackers = [pool.submit(guess, site, number, until) for number in range(12)]
            while time.monotonic() < until:
                visitors.append(site.get("/healthz", unix=True).seconds)
                most = max(most, resident(site))
        statuses = [status for attacker in attackers for status in attacker.result()]
        assert set(statuses) == {200, 429} and len(statuses) >= 12, "some get a seat, and nobody waits for one"
        assert most - before < 110_000_000, f"{(most - before) / 1e6:.0f} MB more"
        assert statistics.median(visitors) < 1, visitors
        log = site.process.output()
    assert log.count("sign-in failed: account none of ours, from 192.0.2.") >= 12
