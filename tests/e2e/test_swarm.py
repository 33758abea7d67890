"""Hosts that are made a swarm: its nodes, their labels, what visitors notice of it, and what comes and goes."""

import pytest

from e2e.swarm import SwarmShop


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


def test_no_token_shows(shop):
    """Neither a log nor what the deployer said has one."""
    for host in shop.machines().values():
        assert "SWMTKN" not in host.run("journalctl --no-pager; cat /var/log/syslog /var/log/auth.log 2>/dev/null || :")
