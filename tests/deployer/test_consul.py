"""Consul: the service that a web host defines, and what a balancer does with Consul's answers. tests/e2e/test_consul.py
asks a real Consul."""

import json
import subprocess
from types import SimpleNamespace
from unittest import mock

import pytest

from slipway.deploy.provisioning import fitness
from slipway.deploy.provisioning.fitness import Found
from slipway.deploy.server import consul, site, consul_hosts
from slipway.deploy.server.consul_hosts import Web, listed, merged, web_of
from slipway.deploy.server.site import Out
from deployer.conftest import fleet_of
from deployer.test_server import host_of
from proc import put

AGENT = {"CheckID": "serfHealth", "ServiceID": "", "Status": "passing"}


def told(address="10.0.0.11", port=80, name="web1", status="passing", **more):
    """Return Consul's entry for a host."""
    checks = [AGENT, {"CheckID": "service:shop", "ServiceID": "shop", "Status": status}]
    service = {"Address": address, "Port": port, "Meta": {"host": name}}
    return {"Node": {"Node": "node", "Address": "10.0.0.99"}, "Service": service, "Checks": checks} | more


@pytest.mark.parametrize("internal, address, port", [
    ("10.0.0.11", "10.0.0.11", 80), ("10.0.0.11:8080", "10.0.0.11", 8080), ("fd00::1", "fd00::1", 80),
    ("[fd00::1]:8080", "fd00::1", 8080), ("[fd00::1]", "fd00::1", 80), ("web1.example:81", None, 81)])
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
    bare = Found(missing=frozenset({"consul-agent"}))
    for name, count in (("web1", 1), ("front", 1), ("work", 0)):
        assert len([*fitness.consul_problems(bare, by_consul, host_of(by_consul, name))]) == count
    other = Found(defined=True)
    assert [*fitness.consul_problems(other, by_consul, host_of(by_consul, "web1"))] == [
        "has /etc/consul.d/shop.json, not made by provisioning: remove it"]
    assert not [*fitness.consul_problems(other, fleet, host_of(fleet, "web1"))]


def test_what_consul_tells_of_a_host():
    assert web_of(told()) == Web("10.0.0.11:80", "web1", True)
    assert web_of(told("", 8080)).address == "10.0.0.99:8080" and web_of(told("fd00::1")).address == "[fd00::1]:80"
    assert not web_of(told(status="critical")).passes and web_of(told(status="warning")).passes
    assert not web_of(told(Checks=[AGENT | {"Status": "critical"}])).passes
    assert not web_of(told(Checks=[AGENT])).passes, "its machine is up, and nobody has asked it yet"
    assert web_of(told() | {"Service": {"Address": "10.0.0.1", "Port": 80, "Meta": None}}).name == "node"


@pytest.mark.parametrize("entry", [
    told("10.0.0.1; } server evil.example"), told("evil.example"), told("127.0.0.1"), told("0.0.0.0"),
    told("169.254.169.254"), told("224.0.0.1"), told("fe80::1%eth0"), told("2001:db8::1%]:80; x;"),
    told("::ffff:127.0.0.1"), told(port=0), told(port=70000), told(port="80;"), told(port=True),
    told(name="web1\nserver 192.0.2.1;"), told(name="a b"), told(name=7), told(address=7), {}, None, [],
    told(Checks=None)])
def test_nothing_but_a_host_gets_into_nginx_s_files(entry, capsys):
    assert [*consul_hosts.valid([entry, told("10.0.0.12", name="web2")])] == [Web("10.0.0.12:80", "web2")]
    assert "ignored a host" in capsys.readouterr().out


A, B, C, D = (Web(f"10.0.0.{number}:80", f"web{number}") for number in range(1, 5))


def failing(*webs):
    return [web._replace(passes=False) for web in webs]


@pytest.mark.parametrize("known, found, then", [
    ([A], [A, *failing(B)], [A]),  # a new host waits until its checks pass
    ([A], [B, A], [A, B]),
    ([A, B], [A, *failing(B)], [A, *failing(B)]),
    ([A, B], [A], [A]),
    ([A, B], [], [A, B]),
    ([A, B], failing(A, B), [A, B]),
    ([A, B, C, D], [A], [A, B, C, D]),  # Consul's agents were restarted
    ([A, *failing(B, C), D], [*failing(A, B, C), D], [A, *failing(B, C), D]),
    ([], [A, A], [A])])
def test_who_is_known(known, found, then):
    assert merged(known, found) == then


@pytest.fixture
def balancer(tmp_path, monkeypatch):
    """A balancer whose list, the file `path`, has A and B; `reload` stands in for the reload of nginx."""
    put(tmp_path / "nginx.conf")
    monkeypatch.setattr(consul_hosts, "NGINX", tmp_path)
    monkeypatch.setattr(consul_hosts, "reload", mock.Mock())
    return SimpleNamespace(path=put(tmp_path / "shop-balancer/hosts.conf", listed([A, B])), reload=consul_hosts.reload)


def test_nginx_reloads_where_the_list_differs(balancer):
    consul_hosts.update("shop", [A, B])
    assert balancer.reload.call_count == 0
    for found in ([A, *failing(B)], [A, *failing(B)], failing(A, B), []):
        consul_hosts.update("shop", found)
    assert balancer.reload.call_count == 1 and balancer.path.read_text() == listed([A, *failing(B)])
    assert [" down;" in line for line in balancer.path.read_text().splitlines()] == [False, False, True]


def test_a_failed_reload_is_repeated(balancer):
    balancer.reload.side_effect = subprocess.CalledProcessError(1, "nginx")
    with pytest.raises(subprocess.CalledProcessError):
        consul_hosts.update("shop", [A, *failing(B)])
    assert balancer.path.read_text() == listed([A, B])


def test_a_drain_needs_no_consul(balancer):
    for names, down in (("web1\n", 1), ("web1\nweb2\n", 1), ("", 0)):
        balancer.path.with_name("drained").write_text(names)
        consul_hosts.update("shop")
        assert balancer.path.read_text().count(" down;") == down
    assert balancer.reload.call_count == 2
