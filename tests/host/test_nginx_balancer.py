"""Tests of nginx as a balancer, as it is shipped: whom it asks, and whom it passes over."""

import contextlib
import socket
import socketserver
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from connect import served
from proc import free_port, wait_until

from .answers import FORGED, echoed, release
from .conftest import ask


def test_a_balancer_is_believed(nginx, apps):
    """Only the balancer is trusted about a visitor's address (its last entry), scheme and request id. Over the private
    socket the app sees a visitor with the site's own scheme, so that it does not redirect."""
    port = nginx.site("shop", balancers=["127.0.0.1"])
    apps("shop", "a", "v1")
    with nginx.serving(port):
        private = ask(nginx.root / "run/shop/nginx.sock", Host="shop.example", X_Request_ID="deploy-4711")[2]
        seen = echoed(ask(port, **{**FORGED, "X_Forwarded_For": "6.6.6.6, 203.0.113.9"})[2])
        odd = echoed(ask(port, X_Request_ID='no"id', X_Forwarded_Proto="gopher")[2])
    assert seen["x-forwarded-for"] == "203.0.113.9" and seen["x-forwarded-proto"] == "https"
    assert seen["x-request-id"] == "forged-request-id" and "x-forwarded-host" not in seen
    assert odd["x-request-id"] != 'no"id' and odd["x-forwarded-proto"] == "http"
    names = ("x-forwarded-proto", "x-forwarded-for", "host", "x-request-id")
    assert [echoed(private)[name] for name in names] == ["https", "127.0.0.1", "shop.example", "deploy-4711"]


@pytest.fixture
def two_hosts(nginx, apps):
    """The port of a balancer before two hosts with complete sites, and one address where nothing listens."""
    ports = [nginx.site(app, balancers=["127.0.0.1"]) for app in ("one", "two")]
    port = nginx.balancer("shop", [*ports, free_port()])
    with nginx.serving(port):
        yield port


def test_a_balancer_passes_over_what_is_dead(apps, two_hosts):
    """No visitor notices a host that refuses connections; no GET notices a host without a release."""
    apps("one", "a", "from one")
    second = apps("two", "a", "from two")
    answers = [
        ask(two_hosts, method=method, body=body) for _ in range(15) for method, body in (("GET", None), ("POST", b"x"))
    ]
    assert {(answer[0], release(answer)) for answer in answers} == {(200, "from one"), (200, "from two")}
    second.stop()
    answers = [ask(two_hosts) for _ in range(20)]
    assert {(answer[0], release(answer)) for answer in answers} == {(200, "from one")}


def test_a_balancer_never_repeats_a_post(nginx):
    """If a host breaks off, a GET is sent to another one; a POST is not, because it may have taken effect."""
    seen = []

    class Breaking(socketserver.BaseRequestHandler):
        def handle(self):
            seen.append(self.request.recv(10000).split(b" ")[0])

    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(served(socketserver.TCPServer(("127.0.0.1", 0), Breaking))) for _ in range(2)]
        port = nginx.balancer("shop", [host.server_address[1] for host in hosts])
        with nginx.serving(port):
            assert ask(port, method="POST", body=b"x")[0] == 503
            assert seen == [b"POST"]
            status, headers, body = ask(port)
            assert (status, headers["Retry-After"]) == (503, "10") and "Back in a moment" in body, "the balancer's page"
            assert seen[:3] == [b"POST", b"GET", b"GET"] and {*seen[3:]} <= {b"GET"}


@pytest.mark.parametrize(
    "method, statuses", [("GET", {200}), ("HEAD", {200}), ("POST", {200, 503}), ("DELETE", {200, 503})]
)
def test_a_request_whose_app_dies(apps, two_hosts, method, statuses):
    """If an app breaks off before it has answered, another host is asked a GET or HEAD; others get the page."""
    apps("one", "a", "from one"), apps("two", "a", "from two")
    answers = [ask(two_hosts, method=method, X_Crash="from one") for _ in range(12)]
    assert {answer[0] for answer in answers} == statuses
    assert all("Back in a moment" in answer[2] for answer in answers if answer[0] == 503)


def test_no_host_that_serves_is_passed_over(apps, two_hosts):
    """A host that has just come back gets the visitors at once if the other one dies. While the app is down on all
    hosts, visitors get the page; what the app answers itself reaches them as it is."""
    for name in ("one", "two") * 3:
        app = apps(name, "a", f"from {name}")
        assert [ask(two_hosts)[0] for _ in range(8)] == [200] * 8, f"{name} serves"
        assert {ask(two_hosts, X_Status=status)[0] for status in ("502", "503", "504")} == {502, 503, 504}
        app.stop()
        for method in ("GET", "POST"):
            status, headers, body = ask(two_hosts, method=method)
            assert (status, headers["Retry-After"]) == (503, "10") and "Back in a moment" in body


def test_what_does_not_answer_costs_few(nginx, apps):
    """Of 40 visitors at most three wait for a host that is powered off, a second each. One that is frozen keeps who it
    has got; others are answered."""
    with socket.socket() as off, socket.socket() as frozen, contextlib.ExitStack() as stack:
        for listening, backlog in ((off, 0), (frozen, 100)):
            listening.bind(("127.0.0.1", 0))
            listening.listen(backlog)
        for _ in range(3):  # where the backlog is full, nobody refuses a connection, as where there is no power
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(off.getsockname())
        port = nginx.balancer(
            "shop", [nginx.site("one", balancers=["127.0.0.1"]), *(each.getsockname()[1] for each in (off, frozen))]
        )
        apps("one", "a", "from one")
        with ThreadPoolExecutor(40) as pool, nginx.serving(port):  # nginx ends first, and with it what hangs
            taken, hanging = [], 0
            for _ in range(40):
                began = time.monotonic()
                answered, waiting = wait([pool.submit(ask, port)], 5)
                hanging += len(waiting)
                taken += [time.monotonic() - began for future in answered if future.result()[0] == 200]
    assert hanging <= 1 and len(taken) + hanging == 40 and len([one for one in taken if one > 0.9]) <= 3, taken


def test_a_request_that_breaks_the_app_takes_no_host_out(apps, two_hosts):
    """A page that crashes its worker is the app's failure: every host stays in, however often the page is requested."""
    apps("one", "a", "from one"), apps("two", "a", "from two")
    assert {ask(two_hosts, "/crash")[0] for _ in range(12)} == {503}
    assert {release(ask(two_hosts)) for _ in range(12)} == {"from one", "from two"}


@pytest.mark.parametrize(
    "proxies, address, scheme", [(["127.0.0.1"], "203.0.113.9", "https"), (["192.0.2.0/24"], "127.0.0.1", "http")]
)
def test_a_proxy_before_the_balancer(nginx, apps, proxies, address, scheme):
    """If TLS ends at a proxy before the balancer, the app gets scheme, address and request id from that proxy,
    through balancer and host; nobody else is trusted about them."""
    port = nginx.balancer("shop", [nginx.site("one", balancers=["127.0.0.1"])], proxies)
    apps("one", "a", "from one")
    with nginx.serving(port):
        seen = echoed(ask(port, **{**FORGED, "X_Forwarded_For": "6.6.6.6, 203.0.113.9"})[2])
        plain = echoed(ask(port, **{**FORGED, "X_Forwarded_Proto": "http"})[2])
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == (address, scheme)
    assert plain["x-forwarded-proto"] == "http"
    assert (seen["x-request-id"] == FORGED["X_Request_ID"]) == (scheme == "https")


def test_a_slow_host_gets_few(apps, two_hosts):
    """While one host keeps a visitor waiting, others get the other host."""
    hosts = apps("one", "a", "from one"), apps("two", "a", "from two")
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(ask, two_hosts, X_Hang="1")
        slow = wait_until(lambda: [host for host in hosts if host.hanging])[0]
        found = {release(ask(two_hosts)) for _ in range(20)}
        slow.let_go.set()
        assert found == {"from one", "from two"} - {release(waits.result(30))}
