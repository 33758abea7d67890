"""Tests of DRAIN: after TERM a site continues for so many seconds, because its balancers do not know yet. For the end
itself see tests/image/test_services.py, and test_asgi.py for open connections."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from load import ask
from ops.served import RUN
from proc import ROOT, run, wait_until

DRAIN = 3  # seconds
SERVERS = ("wsgi", "asgi")


def send_term(site):
    """Send TERM, and wait until the site has logged it."""
    site.process.terminate()
    wait_until(lambda: "before the end" in site.process.output())


@pytest.mark.alone
@pytest.mark.parametrize("server", SERVERS)
def test_no_request_fails_meanwhile(site_of, server):
    """At 50 new connections a second from before TERM to the end, all answers are good, also /readyz's. Nobody is
    refused before the time is over; afterwards everybody is."""
    with site_of(SERVER=server, DRAIN=str(DRAIN), WEB_CONCURRENCY="2") as site, ThreadPoolExecutor(16) as pool:
        asked, began = [], time.monotonic()
        while site.process.poll() is None and time.monotonic() < began + 60:
            asked.append(pool.submit(ask, site.port, "/readyz" if len(asked) % 10 == 0 else "/plain", 0, 30))
            if len(asked) == 50:
                at = time.monotonic()
                site.process.terminate()
            time.sleep(max(0, began + len(asked) / 50 - time.monotonic()))
        ended = time.monotonic()
        found = [each.result(60) for each in asked]
    failed = [one for one in found if one.outcome != "200"]
    assert all(one.ended - at >= DRAIN for one in failed), failed
    assert sum(one.outcome == "200" and 0 < one.ended - at < DRAIN for one in found) > 50
    assert DRAIN <= ended - at < DRAIN + 20 and site.process.returncode == 0
    assert ask(site.port, "/plain", 0, 30).outcome == "refused"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_ends_the_wait(site_of, number):
    with site_of(SERVER="wsgi", DRAIN="3600", WEB_CONCURRENCY="2") as site:
        send_term(site)
        assert site.get("/plain").status == 200
        site.process.send_signal(number)
        assert site.process.wait(30) == 0
        assert ask(site.port, "/plain", 0, 30).outcome == "refused"


def test_a_site_that_cannot_start_ends_at_once():
    """The exit code is the server's."""
    done = run([*RUN, "--bind", "unix:/dev/null/none"], cwd=ROOT, env={**os.environ, "DRAIN": "3600"})
    assert done.returncode == 1 and "(DRAIN)" not in done.stderr, done.stderr


SECOND_IS_LATE = """import os, time
forks = []
os.register_at_fork(before=lambda: forks.append(1), after_in_child=lambda: time.sleep(8 * (len(forks) == 2)))
"""


@pytest.mark.parametrize("server", SERVERS)
def test_a_worker_that_is_just_forked_hears_of_the_end(site_of, server):
    """The worker has no handler yet when TERM arrives, and gunicorn sends TERM once."""
    with site_of(SECOND_IS_LATE, ["--workers", "2"], server) as site:  # serve waits for only the first
        wait_until(lambda: len(site.children()) == 2)
        began = time.monotonic()
        site.process.terminate()
        assert site.process.wait(60) == 0 and time.monotonic() - began < 20
