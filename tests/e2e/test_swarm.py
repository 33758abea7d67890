"""Hosts that are made a swarm: its nodes, their labels, what visitors notice of it, and what comes and goes."""

import pytest

from e2e.fleet.load import Load
from e2e.swarm import SwarmShop
from proc import wait_until

pytestmark = pytest.mark.rare  # its deploys, with a stand-in, are in test_swarm_deploy.py


@pytest.fixture(scope="module")
def shop(fleet, tmp_path_factory):
    """Three bare hosts, provisioned as a swarm."""
    fleet.reset()
    shop = SwarmShop(fleet, tmp_path_factory.mktemp("a shop"))
    check = shop.deploy("provision", "--check")
    assert check.returncode == 1, check.stdout + check.stderr
    for said in ("web1: would begin a swarm\n", "web2, work1: would join the swarm as a manager\n"):
        assert said in check.stdout, check.stdout
    shop.provision()
    return shop


def test_hosts_are_nodes_with_their_roles(shop):
    """All that are to manage do; labels say what may be placed where; the second time there is nothing to do."""
    assert shop.nodes() == {"web1": ("manager", {"shop.web"}), "web2": ("manager", {"shop.web"}),
                            "work1": ("manager", {"shop.worker", "shop.beat"})}
    assert shop.changes() == 0 and "\n0 changes to make (" in "\n" + shop.provision("--check")
    for name, host in shop.machines().items():
        part = shop.part(name)
        assert part["NodeAddr"] == host.address
        assert host.run("docker info --format '{{.LiveRestoreEnabled}}'") == "false\n"


def test_nothing_of_slots_is_there(shop):
    """No unit, no program of theirs; visitors are to come by the proxy's folder, also after a boot."""
    for host in shop.machines().values():
        programs = host.run("ls /etc/systemd/system /usr/local/bin")
        assert not any(name in programs for name in ("shop", "docker-runner", "docker-slot"))
        host.run("rm -r /run/shop/proxy /run/shop/web.sock; systemd-tmpfiles --create shop.conf")
        assert host.run("readlink /run/shop/web.sock") == "proxy/web.sock\n"
        assert host.run("stat -c '%a %u %G' /run/shop /run/shop/proxy") == "750 0 www-data\n2710 10001 www-data\n"


@pytest.fixture
def released(shop):
    """The same with a release."""
    shop.stack("v1")
    shop.until_ready("v1")
    return shop


def test_no_visitor_notices_an_update(released):
    """Containers and proxies come and go on both hosts; visitors of both, and of the balancer, get answers."""
    assert released.changes() == 0
    with released.load() as load:
        released.settings["engine.replicas.web"] = 4  # the proxy's file says so, too
        released.stack("v2")
        released.until_ready("v2")
        updated(released, "web")
        updated(released, "proxy")
        result = load.stop()
    assert len(result.records) > 100 and not result.failures, result.summary()
    assert {record.release for record in result.records} == {"v1", "v2"}, result.summary()


def updated(shop, service):
    """Wait until a service's update has ended well."""
    asked = f"docker service inspect {shop.app}_{service} --format '{{{{.UpdateStatus.State}}}}'"
    wait_until(lambda: shop.manager.run(asked) == "completed\n", 180, f"{service} is updated")


def test_no_token_shows(shop):
    """Neither a log nor what the deployer said has one."""
    for host in shop.machines().values():
        assert "SWMTKN" not in host.run("journalctl --no-pager; cat /var/log/syslog /var/log/auth.log 2>/dev/null || :")


def test_managers_are_those_of_the_file(shop):
    """One that is named stays, the others become workers, and managers again."""
    shop.settings["engine.managers"] = ["web1"]
    assert shop.changes() == 2
    assert {name for name, (role, _) in shop.nodes().items() if role == "manager"} == {"web1"}
    del shop.settings["engine.managers"]
    assert shop.changes() == 2 and {role for role, _ in shop.nodes().values()} == {"manager"}
    assert shop.changes() == 0


def test_a_host_is_taken_off_and_comes_back(released):
    """It leaves the swarm with what it had; visitors of the other one notice nothing. Bare again, it joins anew."""
    shop = released
    with Load(shop.fleet.hosts["web1"].url, host="shop.example", rate=40, seconds=240) as load:
        shop.provision("--remove", "web2")
        result = load.stop()
    assert len(result.records) > 100 and not result.failures, result.summary()
    assert set(shop.nodes()) == {"web1", "work1"} and shop.part("web2")["LocalNodeState"] == "inactive"
    assert shop.fleet.hosts["web2"].run("docker ps -q") == ""
    shop.provision()
    assert set(shop.nodes()) == {"web1", "web2", "work1"}
    with_visitors(shop)

    shop.fleet.reset("web2")
    down = "docker node ls --format '{{.Hostname}} {{.Status}}'"
    wait_until(lambda: "web2 Down" in shop.manager.run(down), 60, "web2 is missed")
    said = shop.provision()
    assert "web2: join the swarm as a manager\n" in said and "web2: forget the node that it was, " in said
    assert shop.manager.run(down).count("web2") == 1
    with_visitors(shop)


def with_visitors(shop):
    """Wait until all web hosts reach the release, and let the balancer know; then nothing is left to do."""
    shop.until_ready(shop.readyz("web1"))
    shop.provision()
    assert shop.changes() == 0


def test_a_boot_leads_to_the_proxy(released):
    """What the swarm had on a host is there again, and visitors get to it."""
    web2 = released.fleet.hosts["web2"]
    web2.power_cut()
    web2.power_on()
    released.until_ready(released.readyz("web1"))
    assert slots(web2) == "proxy"


def test_who_is_in_another_swarm(shop):
    """That is said before anything is done, on any host."""
    web2 = shop.fleet.hosts["web2"]
    shop.provision("--remove", "web2")
    web2.run(f"docker swarm init --advertise-addr {web2.address} >/dev/null")
    done = shop.deploy("provision")
    assert done.returncode == 2 and done.stderr == (
        "deploy: on web2: is a node of another swarm than web1: run docker swarm leave there, or take it out of the"
        " file\n"), done.stderr
    web2.run("docker swarm leave --force")
    shop.provision()


def test_nobody_notices_that_hosts_go_over(fleet, tmp_path_factory):
    """Slots keep the visitors until the swarm has a release; then it gets them, and slots end what they have begun."""
    fleet.reset()
    shop = SwarmShop(fleet, tmp_path_factory.mktemp("a shop"))
    swarm, shop.settings = shop.settings, shop.on_hosts
    shop.provision()
    shop.stage()
    outcome = shop.roll("deploy", "v1")
    assert outcome.code == 0, outcome.stderr
    shop.settings = swarm
    with shop.load(post_path="/?ms=2000", post_every=5) as load:
        said = shop.provision()
        assert "web1: keeps what it runs until the swarm has a release: make deploy, then make provision\n" in said
        assert shop.changes() == 0 and {slots(host) for host in shop.web} == {"b"}
        settings = shop.manager.run("cat /etc/default/shop.env")
        assert shop.deploy("env", "set", input=settings).returncode == 0
        there = shop.roll("deploy", shop.image("v2"))
        assert there.code == 0, there.stderr
        shop.until_ready("v2", "proxy/web.sock")
        shop.provision()
        assert {slots(host) for host in shop.web} == {"proxy"}
        result = load.stop()
    assert len(result.records) > 100 and not result.failures, result.summary()
    assert {record.release for record in result.records} == {"v1", "v2"}, result.summary()
    assert shop.changes() == 0
    for host in shop.machines().values():
        assert host.run("docker ps -q --filter label=docker-runner.image") == ""
        assert {*host.run("ls /run/shop | grep -v ^agent-").split()} <= {"proxy", "web.sock", "nginx.sock"}
        assert "shop" not in host.run("ls /etc/systemd/system; systemctl list-units --all --plain 'shop*' --no-legend")


def slots(host):
    """The folder in which the socket is that web.sock names."""
    return host.run("readlink /run/shop/web.sock").partition("/")[0]
