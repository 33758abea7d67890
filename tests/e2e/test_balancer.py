"""Tests of web hosts that join, drain and return behind the balancer without an effect on visitors."""

import pytest

from e2e import checker
from e2e.fleet.load import Load
from e2e.rollouts import Shop
from e2e.visits import has_none, has_visitors
from proc import wait_until

pytestmark = pytest.mark.extra
SILENT = "web2: web does not answer yet, so balancers skip this host: run slipway deploy --live\n"
ALONE = "on work1: would have no host for visitors: run slipway drain --end web1"


@pytest.fixture
def shop(fleet, tmp_path):
    """Return a Shop of one web host with a release, and a balancer before it. The second web host is bare."""
    fleet.reset()
    shop = Shop(fleet, tmp_path)
    shop.second = shop.hosts.pop("web2")
    shop.first("v1")
    return shop


def leaves_nobody(shop):
    """Assert that a drain reports a request that outlasts it, and that this request is still answered."""
    slow = shop.fleet.hosts["work1"].run(
        "for n in 1 2 3 4; do curl -s -o /dev/null -w '%{http_code} ' -H 'Host: shop.example'"
        " 'http://localhost/?ms=30000' </dev/null >>/tmp/slow 2>&1 & done"
    )
    said = shop.deploy("drain", "web2", "--wait", "3")
    assert slow == "" and "web2: drained, but 2 connections still open\n" in said.stdout
    wait_until(lambda: shop.fleet.hosts["work1"].run("cat /tmp/slow") == "200 200 200 200 ", 60, "all are answered")


def test_hosts_come_rest_and_return(shop):
    """A host without a release has no visitors. A drained host finishes its requests and gets no new ones, even after a
    provision. The last host cannot be drained. A third of the visitors send a POST, which is never repeated."""
    with Load(shop.fleet.hosts["work1"].url, host="shop.example", rate=50, seconds=480) as load:
        shop.hosts["web2"] = shop.second
        assert SILENT in shop.provision() and has_none(shop, "web2")
        shop.good("deploy", "unversioned", "--live")
        assert len({host.run("cat /etc/default/shop.env") for host in shop.machines().values()}) == 1
        has_visitors(shop, "web2")
        assert shop.changes() == 0

        drained = shop.deploy("drain", "web1")
        assert drained.returncode == 0 and drained.stdout.endswith("\nweb1: drained\n"), drained.stdout + drained.stderr
        assert "run slipway drain --end web1\n0 changes" in shop.provision() and has_none(shop, "web1")
        shop.fleet.hosts["web1"].run("systemctl restart shop.target")
        last = shop.deploy("drain", "web2")
        assert last.returncode == 1 and ALONE in last.stderr
        shop.roll("deploy", shop.image("v3"))
        assert shop.deploy("drain", "--end", "web1").returncode == 0
        has_visitors(shop, "web1")
        has_visitors(shop, "web2")
    assert len(load.result.records) > 200
    leaves_nobody(shop)


def test_a_bare_machine_in_place_of_a_lost_one(shop):
    """Visitors of a lost host are answered by another. The new machine's nginx serves Debian's page, to no visitor."""
    shop.hosts["web2"], web2 = shop.second, shop.fleet.hosts["web2"]
    shop.provision()
    shop.good("deploy", "unversioned", "--live")
    with Load(shop.fleet.hosts["work1"].url, host="shop.example", rate=50, seconds=300, post_every=0) as load:
        has_visitors(shop, "web2")
        web2.reset()
        assert "Welcome to nginx" in web2.run("curl -s -A test http://localhost/")
        has_visitors(shop, "web1")
        asked = web2.run("grep -v '\"test\"$' /var/log/nginx/access.log").splitlines()
        assert asked and all('"GET /readyz HTTP/1.0" 404' in line for line in asked), asked
        shop.provision()
        shop.good("deploy", "unversioned", "--live")
        has_visitors(shop, "web2")
    assert len(load.result.records) > 200


def test_a_host_that_was_replaced_rolls_back_as_the_others(shop):
    """It gets the releases of the others by their digests, and the settings that came before the live ones."""
    shop.hosts["web2"], web2 = shop.second, shop.fleet.hosts["web2"]
    shop.provision()
    shop.good("deploy", "unversioned", "--live")
    shop.set(GREETING="hello")
    shop.good("deploy", shop.image("v2"), "--no-bake")
    web2.reset()
    shop.provision()
    assert "web2: no release is there to go back from" in shop.roll("rollback").stderr
    shop.good("deploy", "unversioned", "--live", "--no-bake")
    shop.good("rollback")
    hosts = checker.check(shop)
    assert checker.tags(shop) == {"v1"} and len({host["settings"] for host in hosts.values()}) == 1
    shop.good("deploy", shop.image("v3"), "--no-bake")
    web2.reset()
    shop.provision()
    shop.good("deploy", shop.image("v4"), "--no-bake")
    shop.good("rollback", "--to", "v1")
    checker.check(shop)
    assert checker.tags(shop) == {"v1"}
