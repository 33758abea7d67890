"""The health of a release by the log of the shipped nginx: the answers that count as errors."""

import socket

import pytest

from proc import put, wait_until
from slipway.deploy.agent import slots
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.agent.roles import BUILT_IN
from slipway.deploy.agent.steps import switch
from slipway.deploy.agent.visitors import Visitors
from slipway.deploy.server.files import process_unit

from .conftest import ask

NONSENSE = (
    b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n",
)


@pytest.fixture
def host(nginx):
    """The host that the agent sees: nginx's root, with the role web."""
    unit = process_unit("shop", BUILT_IN["web"])
    put(f"{nginx.root}{unit.path}", unit.content)
    return Host("shop", str(nginx.root))


@pytest.fixture
def log(nginx):
    return nginx.root / "var/log/nginx/shop.access.log"


def shout(port, text):
    """Send an invalid request; return the first line of nginx's answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(text)
        return connection.makefile("rb").readline()


def test_what_is_no_request_is_no_error(nginx, apps, host, log):
    """nginx's own 505, 501 and 400 do not count, even many of them; an app that is away, or breaks off, does."""
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


BLIND = "visitors cannot be watched: .*does not log its answers in .*/var/log/nginx/shop.access.log"


def test_no_flip_where_nginx_cannot_write_its_log(nginx, apps, host, log):
    """A log without lines is no sign of health: the flip is refused before it begins."""
    port, told = nginx.site("shop"), []
    apps("shop", "b", "v2", 500)
    log.symlink_to("/dev/full")
    with nginx.serving(port), pytest.raises(Problem, match=BLIND):
        attempt = Attempt(host, live="a", slot="b", tag="v2", began=0)
        switch.flip(host, attempt, told.append, [], 0.05)
    assert slots.live(host) == "a" and not told
