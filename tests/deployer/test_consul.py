"""A balancer's list of hosts, by its own checks and by Consul, and the service that a web host defines there.
tests/e2e/test_consul.py asks a real Consul."""

import contextlib
import json
import os
import re
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from unittest import mock

import pytest

from connect import served
from deployer.conftest import fleet_of
from deployer.test_server import host_of
from proc import put, wait_until
from slipway.deploy.provisioning import fitness
from slipway.deploy.provisioning.fitness import Inspection
from slipway.deploy.server import balancer_hosts, consul, site
from slipway.deploy.server.balancer_hosts import Web, listed, merged, web_of
from slipway.deploy.server.site import Out

AGENT = {"CheckID": "serfHealth", "ServiceID": "", "Status": "passing"}


def entry_of(address="10.0.0.11", port=80, name="web1", status="passing", **extra):
    """Return Consul's entry for a host."""
    checks = [AGENT, {"CheckID": "service:shop", "ServiceID": "shop", "Status": status}]
    service = {"Address": address, "Port": port, "Meta": {"host": name}}
    return {"Node": {"Node": "node", "Address": "10.0.0.99"}, "Service": service, "Checks": checks} | extra


@pytest.mark.parametrize(
    "internal, address, port",
    [
        ("10.0.0.11", "10.0.0.11", 80),
        ("10.0.0.11:8080", "10.0.0.11", 8080),
        ("fd00::1", "fd00::1", 80),
        ("[fd00::1]:8080", "fd00::1", 8080),
        ("[fd00::1]", "fd00::1", 80),
        ("web1.example:81", None, 81),
    ],
)
def test_where_a_host_is_reached(data, internal, address, port):
    fleet = fleet_of(data, {"hosts.web1.internal": internal, "balancer": "consul"})
    service = json.loads(consul.service(fleet, host_of(fleet, "web1")).content)["service"]
    assert (service.get("address"), service["port"]) == (address, port)
    assert f":{port} max_fails" in site.first_hosts(fleet, Out()).splitlines()[0]


def test_the_check_asks_as_a_visitor_would(data):
    del data["hosts"]["front"]
    site = {"names": ["*.shop.example"], "tls": "files", "certificate": "/c", "key": "/k"}
    fleet = fleet_of(data, {"site": site, "balancer": "consul"})
    service = json.loads(consul.service(fleet, host_of(fleet, "web2")).content)["service"]
    assert service["port"] == 443 and service["check"]["http"] == "https://127.0.0.1/readyz"
    assert service["check"]["tls_skip_verify"] and service["check"]["header"] == {"Host": ["any.shop.example"]}
    assert "header" not in consul.check(fleet_of(data, {"site.names": []}), False)


def test_an_agent_is_needed(data, fleet):
    by_consul = fleet_of(data, {"balancer": "consul"})
    bare = Inspection(missing=frozenset({"consul-agent"}))
    for name, count in (("web1", 1), ("front", 1), ("work", 0)):
        assert len([*fitness.consul_problems(bare, by_consul, host_of(by_consul, name))]) == count
    other = Inspection(defined=True)
    assert [*fitness.consul_problems(other, by_consul, host_of(by_consul, "web1"))] == [
        "has /etc/consul.d/shop.json, not made by provisioning: remove it"
    ]
    assert not [*fitness.consul_problems(other, fleet, host_of(fleet, "web1"))]


def test_what_consul_tells_of_a_host():
    assert web_of(entry_of()) == Web("10.0.0.11:80", "web1", "passing")
    assert (
        web_of(entry_of("", 8080)).address == "10.0.0.99:8080" and web_of(entry_of("fd00::1")).address == "[fd00::1]:80"
    )
    assert (
        web_of(entry_of(status="critical")).state == "failing" and web_of(entry_of(status="warning")).state == "passing"
    )
    assert web_of(entry_of(Checks=[AGENT | {"Status": "critical"}])).state == "failing"
    assert web_of(entry_of(Checks=[AGENT])).state == "failing", "its machine is up, and nobody has asked it yet"
    assert web_of(entry_of() | {"Service": {"Address": "10.0.0.1", "Port": 80, "Meta": None}}).name == "node"


@pytest.mark.parametrize(
    "entry",
    [
        entry_of("10.0.0.1; } server evil.example"),
        entry_of("evil.example"),
        entry_of("127.0.0.1"),
        entry_of("0.0.0.0"),
        entry_of("169.254.169.254"),
        entry_of("224.0.0.1"),
        entry_of("fe80::1%eth0"),
        entry_of("2001:db8::1%]:80; x;"),
        entry_of("::ffff:127.0.0.1"),
        entry_of(port=0),
        entry_of(port=70000),
        entry_of(port="80;"),
        entry_of(port=True),
        entry_of(name="web1\nserver 192.0.2.1;"),
        entry_of(name="a b"),
        entry_of(name=7),
        entry_of(address=7),
        {},
        None,
        [],
        entry_of(Checks=None),
    ],
)
def test_nothing_but_a_host_gets_into_nginx_s_files(entry, capsys):
    assert [*balancer_hosts.valid([entry, entry_of("10.0.0.12", name="web2")])] == [Web("10.0.0.12:80", "web2")]
    assert "ignored a host" in capsys.readouterr().out


A, B, C, D = (Web(f"10.0.0.{number}:80", f"web{number}") for number in range(1, 5))


def failing(*webs):
    return [web._replace(state="failing") for web in webs]


@pytest.mark.parametrize(
    "is_known, result, then",
    [
        ([A], [A, *failing(B)], [A]),  # a new host waits until its checks pass
        ([A], [B, A], [A, B]),
        ([A, B], [A, *failing(B)], [A, *failing(B)]),
        ([A, B], [A], [A]),
        ([A, B], [], [A, B]),
        ([A, B], failing(A, B), [A, B]),
        ([A, B, C, D], [A], [A, B, C, D]),  # Consul's agents were restarted
        ([A, *failing(B, C), D], [*failing(A, B, C), D], [A, *failing(B, C), D]),
        ([], [A, A], [A]),
    ],
)
def test_who_is_known(is_known, result, then):
    assert merged(is_known, result) == then


@pytest.fixture
def balancer(tmp_path, monkeypatch):
    """A balancer whose list, the file `path`, has A and B; `reload` stands in for the reload of nginx."""
    put(tmp_path / "nginx.conf")
    monkeypatch.setattr(balancer_hosts, "NGINX", tmp_path)
    monkeypatch.setattr(balancer_hosts, "reload", mock.Mock())
    path = put(tmp_path / "shop-balancer/hosts.conf", listed([A, B]))
    return SimpleNamespace(path=path, reload=balancer_hosts.reload)


def test_nginx_reloads_where_the_list_differs(balancer):
    balancer_hosts.update("shop", [A, B])
    assert balancer.reload.call_count == 0
    for found in ([A, *failing(B)], [A, *failing(B)], failing(A, B), []):
        balancer_hosts.update("shop", found)
    assert balancer.reload.call_count == 1 and balancer.path.read_text() == listed([A, *failing(B)])
    assert [" backup;" in line for line in balancer.path.read_text().splitlines()] == [False, True, True]


def test_a_host_that_provisioning_took_away_is_forgotten(balancer):
    balancer.path.write_text(listed([A, B, C, D]))
    balancer_hosts.update("shop", [A, *failing(D)], forget=True)
    assert balancer.path.read_text() == listed([A, *failing(D)])


@pytest.fixture
def web():
    """Yield a web host that answers with `status`, or closes the connection if that is 0. `asked`: (path, Host)."""
    host = SimpleNamespace(status=200, asked=[])

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            host.asked.append((self.path, self.headers["Host"]))
            if host.status:
                self.send_response(host.status)
                self.end_headers()

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Answers)) as server:
        host.address = f"127.0.0.1:{server.server_port}"
        yield host


def test_a_balancer_asks_its_hosts_itself(web):
    """A host is not ready until it was once. Then three checks in a row must fail. What answers as another site does is
    out at once."""
    checks = balancer_hosts.Checks("shop.example", {"web1": web.address})
    entry_of = []
    for status in (503, 200, 503, 0, 502, 200, 404, 503, 200):
        web.status = status
        entry_of.append(checks.web("web1").state)
    assert entry_of == [
        "failing",
        "passing",
        "passing",
        "passing",
        "failing",
        "passing",
        "foreign",
        "failing",
        "passing",
    ]
    assert {*web.asked} == {("/readyz", "shop.example")}
    assert balancer_hosts.Checks("", {"off": "127.0.0.1:9"}).web("off") == Web("127.0.0.1:9", "off", "failing")


def trickle(listening):
    """Send each one who connects a byte of an answer now and then, and never the whole."""

    def send(connection):
        with connection, contextlib.suppress(OSError):
            for byte in b"HTTP/1.1 200 OK" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.2)

    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=send, args=(connection,), daemon=True).start()


def test_a_host_that_trickles_keeps_no_other_from_its_checks(web, monkeypatch):
    """A check has a limit as a whole, and each host a thread: what is amiss with another is seen as soon as ever."""
    monkeypatch.setattr(balancer_hosts, "LIMIT", 1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=trickle, args=(listening,), daemon=True).start()
        slow = f"127.0.0.1:{listening.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises((OSError, ValueError)):
            balancer_hosts.status_of(slow, "shop.example")
        assert time.monotonic() - began < 20
        checks = balancer_hosts.Checks("shop.example", {"slow": slow, "web1": web.address})
        asked = []
        monkeypatch.setattr(checks, "web", lambda host, real=checks.web: asked.append(host) or real(host))
        checks.start()
        assert [each.state for each in checks.all()] == ["failing", "passing"]
        web.status = 404
        wait_until(lambda: [each.state for each in checks.all()] == ["failing", "foreign"])
        hung = threading.Event()
        monkeypatch.setattr(checks, "web", lambda host, real=checks.web: real(host) if host == "web1" else hung.wait())
        web.status = 200
        wait_until(lambda: checks.all()[1].state == "passing", what="though the other check never ends")
        checks.over.set(), hung.set()


def test_a_list_survives_a_power_cut(balancer, monkeypatch):
    """The new file is synced before it takes the old one's place, and its folder after that."""
    done, fsync, rename = [], os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    monkeypatch.setattr(os, "rename", lambda path, to: (done.append("rename"), rename(path, to)))
    balancer_hosts.update("shop", [A, *failing(B)])
    assert done == [str(balancer.path.with_suffix(".new")), "rename", str(balancer.path.parent)]


def test_who_is_asked_when_no_other_host_is_left():
    """A host that is not ready, as it may be up again; no drained one, and none that answers as another site does."""
    rows = listed([A, B._replace(state="failing"), C._replace(state="foreign"), D], ["web4"]).splitlines()
    assert [re.findall(r"backup|down", row) for row in rows] == [[], ["backup"], ["backup"], ["down"], ["down"]]


def test_a_failed_reload_is_repeated(balancer):
    balancer.reload.side_effect = subprocess.CalledProcessError(1, "nginx")
    with pytest.raises(subprocess.CalledProcessError):
        balancer_hosts.update("shop", [A, *failing(B)])
    assert balancer.path.read_text() == listed([A, B])


def test_a_drain_needs_no_consul(balancer):
    for names, down in (("web1\n", 1), ("web1\nweb2\n", 1), ("", 0)):
        balancer.path.with_name("drained").write_text(names)
        balancer_hosts.update("shop")
        assert balancer.path.read_text().count(" down;") == down
    assert balancer.reload.call_count == 2
