"""Tests of web hosts that Consul finds, loses and forgets behind our balancer, without an effect on visitors."""

import re

import pytest

from e2e import consul
from e2e.fleet import apps
from e2e.fleet.load import Load
from e2e.provisioned import Project
from e2e.rollouts import Shop
from e2e.visits import has_none, has_visitors
from proc import wait_until

pytestmark = pytest.mark.extra
MAINT = "consul maint -service=shop"
UNREADY = "location = /readyz { return 503; }"
SERVER_D = "/etc/nginx/shop/server.d"


@pytest.fixture(scope="module")
def shop(fleet, tmp_path_factory):
    """Yield a Shop of one web host with a release, and a balancer. The second web host has only a Consul agent."""
    fleet.reset()
    with consul.everywhere(fleet):
        shop = Shop(fleet, tmp_path_factory.mktemp("a shop"))
        shop.settings["balancer"] = "consul"
        shop.second = shop.hosts.pop("web2")
        shop.first("v1")
        yield shop


@pytest.fixture
def two(shop):
    """Return a Shop with visitors on both web hosts."""
    if "web2" not in shop.hosts:
        shop.hosts["web2"] = shop.second
        shop.provision()
        shop.good("deploy", shop.image("v2"))
    wait_until(lambda: used(shop) == {"web1", "web2"}, 60, "both are in use")
    return shop


@pytest.fixture
def visitors(request, shop):
    """Send load to the balancer during the test. No request may fail."""
    post_every = getattr(request, "param", 3)
    with Load(shop.fleet.hosts["work1"].url, host="shop.example", rate=50, seconds=900, post_every=post_every) as load:
        yield
    assert len(load.result.records) > 100


def listed(shop):
    return shop.fleet.hosts["work1"].run(f"cat /etc/nginx/{shop.app}-balancer/hosts.conf")


def used(shop):
    """Return the names of the hosts to which the balancer sends visitors."""
    return {line.split()[-2] for line in listed(shop).splitlines() if re.search(r"[0-9]s; #", line)}


def until_used(shop, *names):
    """Wait until exactly these hosts get visitors."""
    wait_until(lambda: used(shop) == {*names}, 60, f"visitors are sent to {names}")


def test_hosts_join_rest_and_leave(shop, visitors):
    """A host gets visitors from its first release on, but not while drained, in maintenance, agentless or unready."""
    shop.hosts["web2"] = shop.second
    check = shop.deploy("provision", "--check")
    assert check.returncode == 1 and "web2: would write /etc/consul.d/shop.json\n" in check.stdout
    assert "web2: would reload consul.service\n" in check.stdout and "\nweb1: would" not in check.stdout
    assert "so balancers skip this host: run slipway deploy --live\n" in shop.provision()
    assert used(shop) == {"web1"} and has_none(shop, "web2")
    shop.good("deploy", shop.image("v2"))
    until_used(shop, "web1", "web2")
    has_visitors(shop, "web2")
    assert shop.changes() == 0

    drained = shop.deploy("drain", "web2")
    assert drained.returncode == 0 and drained.stdout.endswith("\nweb2: drained\n"), drained.stdout + drained.stderr
    assert used(shop) == {"web1"} and has_none(shop, "web2") and shop.changes() == 0
    assert shop.deploy("drain", "--end", "web2").returncode == 0
    has_visitors(shop, "web2")

    for away, back in (
        (f"{MAINT} -enable", f"{MAINT} -disable"),
        ("consul leave", "systemctl start consul"),
        (
            f"mkdir -p {SERVER_D}; echo '{UNREADY}' >{SERVER_D}/x.conf && nginx -s reload",
            f"rm {SERVER_D}/x.conf && nginx -s reload",
        ),
    ):
        shop.fleet.hosts["web2"].run(away)
        until_used(shop, "web1")
        wait_until(lambda: has_none(shop, "web2"), what="nginx has read the list")
        shop.fleet.hosts["web2"].run(back)
        until_used(shop, "web1", "web2")


@pytest.mark.parametrize("visitors", [0], indirect=True)
def test_hosts_die(two, visitors):
    """If a host dies, another one answers its visitors, before Consul has noticed and after."""
    web2 = two.fleet.hosts["web2"]
    web2.run("systemctl kill --signal=KILL nginx")
    has_visitors(two, "web2")
    web2.power_cut()
    until_used(two, "web1")
    web2.power_on()
    consul.start(web2)
    until_used(two, "web1", "web2")
    has_visitors(two, "web2")


def test_consul_dies(two, visitors):
    """While Consul is down, the list of hosts stays, and hosts can be drained and provisioned."""
    hosts = two.fleet.hosts.values()
    before = listed(two)
    consul.kill(two.fleet.hosts["work1"], two.fleet.services, two.fleet.hosts["web1"], two.fleet.hosts["web2"])
    two.fleet.hosts["work1"].run("systemctl restart balancer-hosts@shop")
    wait_until(
        lambda: "the hosts stay unchanged" in two.fleet.hosts["work1"].run("journalctl -t balancer-hosts --since -20s"),
        what="it is told",
    )
    assert listed(two) == before and two.changes() == 0
    assert two.deploy("drain", "web1").returncode == 0
    assert used(two) == {"web2"} and has_none(two, "web1")
    assert two.deploy("drain", "--end", "web1").returncode == 0 and used(two) == {"web1", "web2"}
    consul.start(two.fleet.services, *hosts)
    two.fleet.hosts["web2"].run(f"{MAINT} -enable")
    until_used(two, "web1")
    two.fleet.hosts["web2"].run(f"{MAINT} -disable")


def test_two_apps_on_a_host(two, visitors, tmp_path):
    """Consul asks each of them. The balancer shows each to its own visitors, the app without names to all others."""
    image = two.fleet.registry.push(apps.echo("o1"), "other:o1")
    other = Project(two.fleet, tmp_path, "other", image.removesuffix(":o1"), **{"balancer": "consul", "site.names": []})
    del other.hosts["web2"]
    other.hosts["work1"]["roles"] = []
    other.provision()
    other.set(OTHER="1")
    other.start("web1", image=image)
    until_used(other, "web1")
    assert used(two) == {"web1", "web2"}
    for name, release in (("shop.example", "v2"), ("else.example", "o1")):
        assert f'"{release}"' in two.fleet.hosts["work1"].run(f"curl -sS -H 'Host: {name}' http://localhost/")
    for name in other.hosts:
        other.provision("--remove", name)
