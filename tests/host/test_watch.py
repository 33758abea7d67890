"""How a release does, by the log of nginx as shipped: what counts, and how soon visitors are back."""

import contextlib
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
from deploy.agent import slots  # noqa: E402
from deploy.agent.attempt import Attempt  # noqa: E402
from deploy.agent.host import Host  # noqa: E402
from deploy.agent.roles import BUILT_IN  # noqa: E402
from deploy.agent.steps.watcher import Watcher  # noqa: E402
from deploy.agent.visitors import Visitors  # noqa: E402
from deploy.decide.server import process_unit  # noqa: E402

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


def shout(port, text):
    """The first line that nginx answers to what is no request of a browser."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(text)
        return connection.makefile("rb").readline()


def test_what_is_no_request_is_no_error(nginx, apps, host):
    """17 of each kind among few good ones: nginx's own 505, 501 and 400. That the app is away, or breaks off, is."""
    port = nginx.site("shop")
    app = apps("shop", "a", "v1")
    with nginx.serving(port):
        for _ in range(50):
            ask(port)
        log = nginx.root / "var/log/nginx/shop.access.log"
        wait_until(lambda: log.read_text().count("\n") == 50, what="nginx has noted them")
        visitors = Visitors(host)
        statuses = {shout(port, text).split()[1] for text in NONSENSE for _ in range(17)}
        assert statuses == {b"505", b"400", b"501"}
        for _ in range(30):
            ask(port)
        wait_until(lambda: visitors.problem(0.05) or visitors.counts()[0] >= 30, what="nginx has noted these")
        assert visitors.problem(0.05) == "" and visitors.counts() == (30, 0)
        ask(port, "/crash")
        wait_until(lambda: visitors.problem(1.0) or visitors.counts() == (31, 1), what="the app broke off")
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
        attempt = Attempt(host, live="a", slot="b", tag="v2", began=0)
        attempt.watcher = Watcher(host, attempt, told.append, max_errors=0.05, alone=True)
        slots.way_back(host, "a")
        slots.flip(host, "b")
        attempt.watcher.start()
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
