"""Web hosts that come, rest and return behind the balancer, and visitors who notice nothing of it."""

import pytest

import proc
from e2e import byhand
from e2e.fleet.docker import docker
from e2e.fleet.load import Load
from e2e.rollouts import Shop
from e2e.visits import has_none, has_visitors
from proc import wait_until


SILENT = "web2: its web does not answer yet, so balancers send it nobody: make deploy, then make provision\n"


@pytest.fixture(scope="module")
def shop(fleet, tmp_path_factory):
    """One web host with a release, and a balancer before it. The second web host is bare."""
    fleet.reset()
    shop = Shop(fleet, tmp_path_factory.mktemp("a shop"))
    shop.second = shop.hosts.pop("web2")
    shop.provision()
    shop.stage()
    assert shop.roll("deploy", "v1").code == 0
    return shop


@pytest.fixture
def two(shop):
    """Two web hosts that have visitors."""
    if "web2" not in shop.hosts:
        shop.hosts["web2"] = shop.second
        shop.provision()
        assert shop.roll("deploy", shop.image("v2")).code == 0
        shop.provision()
    return shop


@pytest.fixture
def load(shop):
    """Visitors of the balancer alone; a third of them send a POST, which is not asked for twice. None fails."""
    with Load(shop.fleet.hosts["work1"].url, host="shop.example", rate=50, seconds=480) as load:
        yield load
        result = load.stop()
    assert len(result.records) > 200 and not result.failures, result.summary()


def test_hosts_come_rest_and_return(shop, load):
    """A host without a release has no visitors; one that is drained answers those it has, and has none however often it
    is provisioned; the last one is not drained."""
    shop.hosts["web2"] = shop.second
    assert SILENT in shop.provision()
    tag = "/var/www/shop/TAG"  # as it stays where the app was taken off
    shop.fleet.hosts["web2"].run(f"echo 'export TAG=v0' >{tag}")
    assert SILENT in shop.provision() and has_none(shop, "web2")
    shop.fleet.hosts["web2"].run(f"rm {tag}")
    assert shop.roll("deploy", shop.image("v2")).code == 0
    assert "work1: put nginx site shop-balancer in place\n" in shop.provision()
    has_visitors(shop, "web2")

    drained = shop.deploy("drain", "web1")
    assert drained.returncode == 0 and drained.stdout.endswith("\nweb1: drained\n"), drained.stdout + drained.stderr
    assert has_none(shop, "web1")
    assert "web1: is drained: make undrain HOST=web1\n0 changes" in shop.provision() and has_none(shop, "web1")
    web2 = shop.hosts.pop("web2")
    alone = shop.deploy("provision")
    assert alone.returncode == 1 and "on work1: would have no host for visitors" in alone.stderr
    shop.hosts["web2"] = web2
    shop.fleet.hosts["web1"].run("systemctl restart shop.target")

    last = shop.deploy("drain", "web2")
    assert last.returncode == 1 and "on work1: would have no host for visitors: make undrain HOST=web1" in last.stderr
    shop.roll("deploy", shop.image("v3"))
    assert shop.deploy("undrain", "web1").returncode == 0
    has_visitors(shop, "web1")
    has_visitors(shop, "web2")
    assert shop.changes() == 0


def test_a_reboot(two, load, tmp_path):
    """A web host goes down in good order while its app ends what it has begun: nobody is told that the app is gone."""
    web2, log = two.fleet.hosts["web2"], "/var/log/nginx/shop.access.log"
    has_visitors(two, "web2")
    slow = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: shop.example", f"{web2.url}/?ms=8000"]
    with proc.running(slow) as request:
        wait_until(lambda: web2.run("grep shop/./web.sock /proc/net/unix | grep -v 00010000"), 10, "it is answered")
        web2.console("systemctl reboot")
        assert request.wait(60) == 0 and request.output() == "200"
    wait_until(lambda: "false" in docker("inspect", "--format={{.State.Running}}", web2.machine.container).stdout,
               90, "the server is off")
    load.stop()  # at the boot a POST may find nginx alone
    docker("cp", f"{web2.machine.container}:{log}", tmp_path / "log")
    assert '"status":50' not in (tmp_path / "log").read_text()
    web2.power_on()
    byhand.until_it_answers(web2, "shop", "")
    two.fleet.hosts["work1"].run("systemctl reload nginx")  # it forgets that web2 was away


def test_a_drain_tells_whom_it_leaves(two):
    """A request that takes longer than the drain waits is left, and answered."""
    slow = two.fleet.hosts["work1"].run(
        "for n in 1 2 3 4; do curl -s -o /dev/null -w '%{http_code} ' -H 'Host: shop.example'"
        " 'http://localhost/?ms=15000' </dev/null >>/tmp/slow 2>&1 & done")
    said = two.deploy("drain", "web2", "--wait", "3")
    assert slow == "" and "web2: drained, but 2 connections are still open\n" in said.stdout
    wait_until(lambda: two.fleet.hosts["work1"].run("cat /tmp/slow") == "200 200 200 200 ", 60, "all are answered")
    assert two.deploy("undrain", "web2").returncode == 0


@pytest.mark.parametrize("words, said", [
    (["drain", "work1"], "deploy: there is no web host 'work1'; there are: web1, web2\n"),
    (["drain", ""], "deploy: there is no web host ''; there are: web1, web2\n")])
def test_what_cannot_be_drained(two, words, said):
    """It is told with what can."""
    done = two.deploy(*words)
    assert (done.returncode, done.stderr) == (2, said)
