"""How a release does, by the log of nginx as shipped: what counts, and how soon visitors are back."""

import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proc import ROOT, wait_until

from .conftest import ask

sys.path.insert(0, str(ROOT))
from slipway.deploy.agent import slots  # noqa: E402
from slipway.deploy.agent.attempt import Attempt  # noqa: E402
from slipway.deploy.agent.host import Host, Problem  # noqa: E402
from slipway.deploy.agent.roles import BUILT_IN  # noqa: E402
from slipway.deploy.agent.steps import switch  # noqa: E402
from slipway.deploy.agent.visitors import Visitors  # noqa: E402
from slipway.deploy.server.files import process_unit  # noqa: E402

NONSENSE = (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n")


@pytest.fixture
def host(nginx):
    """The host that the agent sees: nginx's root, with the role web."""
    unit = process_unit("shop", BUILT_IN["web"])
    path = Path(f"{nginx.root}{unit.path}")
    path.parent.mkdir(parents=True)
    path.write_text(unit.content)
    return Host("shop", str(nginx.root))


@pytest.fixture
def log(nginx):
    """What nginx writes."""
    return nginx.root / "var/log/nginx/shop.access.log"


def flip(host, told):
    """Give slot b the visitors, watched; the Attempt. `told` gets what the deployer hears."""
    attempt = Attempt(host, live="a", slot="b", tag="v2", began=0)
    switch.flip(host, attempt, told.append, [], 0.05)
    return attempt


def shout(port, text):
    """The first line that nginx answers to what is no request of a browser."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(text)
        return connection.makefile("rb").readline()


def test_what_is_no_request_is_no_error(nginx, apps, host, log):
    """17 of each kind among few good ones: nginx's own 505, 501 and 400. That the app is away, or breaks off, is."""
    port = nginx.site("shop")
    app = apps("shop", "a", "v1")
    with nginx.serving(port):
        for _ in range(50):
            ask(port)
        wait_until(lambda: log.read_text().count("\n") == 50, what="nginx has noted them")
        visitors = Visitors(host)
        statuses = {shout(port, text).split()[1] for text in NONSENSE for _ in range(17)}
        assert statuses == {b"505", b"400", b"501"}
        for _ in range(30):
            ask(port)
        wait_until(lambda: visitors.problem(0.05) or visitors.now.total >= 30, what="nginx has noted these")
        assert visitors.problem(0.05) == "" and (visitors.now.total, visitors.now.wrong) == (30, 0)
        ask(port, "/crash")
        wait_until(lambda: visitors.problem(1.0) or visitors.now.wrong == 1, what="the app broke off")
        app.stop()
        assert ask(port)[0] == 503
        wait_until(lambda: visitors.problem(0.05), what="the app is away")


@pytest.mark.alone
def test_visitors_of_a_bad_release_are_back_within_a_second(nginx, apps, host):
    """From its 20th error to the last one, under as many requests as four visitors can make."""
    port = nginx.site("shop")
    apps("shop", "a", "v1"), apps("shop", "b", "v2", 500)
    answers, told, over = [], [], threading.Event()

    def visit():
        while not over.wait(0.005):
            answers.append((ask(port)[0], time.monotonic()))

    with nginx.serving(port), ThreadPoolExecutor(4) as visitors, contextlib.ExitStack() as end:
        end.callback(over.set)
        visits = [visitors.submit(visit) for _ in range(4)]
        wait_until(lambda: len(answers) > 100)
        flip(host, told)
        wait_until(lambda: told, what="it is told")
        seen = len(answers)
        wait_until(lambda: len(answers) > seen + 100)
        over.set()
        for each in visits:
            each.result(20)
    bad = sorted(at for status, at in answers if status != 200)
    assert bad and bad[-1] - bad[:20][-1] <= 1, bad
    assert slots.live(host) == "a" and "answers to visitors" in told[0]["problem"]
    assert {status for status, _ in answers} == {200, 500}


def turned_over(log, nginx):
    """As logrotate does it."""
    log.rename(f"{log}.1")
    nginx.send_signal(signal.SIGUSR1)
    wait_until(log.exists, what="nginx has made a new one")


def copied_and_truncated(log, nginx):
    """As logrotate's copytruncate does it."""
    shutil.copy(log, f"{log}.1")
    os.truncate(log, 0)


@pytest.mark.parametrize("harm", [lambda log, nginx: os.truncate(log, 0), copied_and_truncated, turned_over])
def test_a_log_that_begins_anew_is_read_from_its_beginning(nginx, apps, host, log, harm):
    """Just after the flip, when most of what is counted is still to come: errors after it are seen."""
    port, told = nginx.site("shop"), []
    apps("shop", "a", "v1"), apps("shop", "b", "v2", 500)
    with nginx.serving(port) as process:
        for _ in range(200):
            ask(port)
        attempt = flip(host, told)
        with contextlib.ExitStack() as end:
            end.callback(attempt.watcher.over.set)
            harm(log, process)
            errors = 0
            while not told and errors < 150:  # fewer lines than there were before
                errors += ask(port)[0] == 500
                time.sleep(0.02)
            wait_until(lambda: told, 5, "it is told")
    assert "answers to visitors" in told[0]["problem"] and slots.live(host) == "a"


BLIND = "visitors cannot be watched: .*do not show up in .*/var/log/nginx/shop.access.log"


@pytest.mark.parametrize("release", ["v1", None])
def test_no_flip_where_nginx_cannot_write_its_log(nginx, apps, host, log, release):
    """No line is no sign of health. It is told before the flip, with a release live or none."""
    port, told = nginx.site("shop"), []
    apps("shop", "b", "v2", 500), release and apps("shop", "a", release)
    log.symlink_to("/dev/full")
    with nginx.serving(port), pytest.raises(Problem, match=BLIND):
        flip(host, told)
    assert slots.live(host) == "a" and not told


def test_a_log_that_ends_under_the_watch_takes_the_release_back(nginx, apps, host, log):
    """nginx still answers, and writes to a file that has another name."""
    port, told = nginx.site("shop"), []
    apps("shop", "a", "v1"), apps("shop", "b", "v2")
    with nginx.serving(port):
        attempt = flip(host, told)
        with contextlib.ExitStack() as end:
            end.callback(attempt.watcher.over.set)
            log.rename(f"{log}.1")
            wait_until(lambda: told, 20, "it is told")
    assert re.search(BLIND, told[0]["problem"]) and slots.live(host) == "a"
