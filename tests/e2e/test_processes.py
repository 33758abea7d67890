"""Processes of a team's own on the fleet: one that runs alone and has a port, one that overlaps."""

import json

import pytest

from e2e import checker
from e2e.rollouts import begun, settled_on
from e2e.scenarios import settings
from proc import wait_until

OWN = {
    "process.alerts.command": "daemon 2525", "process.alerts.ready": "port 2525",
    "process.alerts.ports": ["2525:2525"],
    "process.mail.command": "daemon 2600", "process.mail.ready": "http :2600/", "process.mail.overlap": True,
}
ROLES = {"web1": ["web", "mail"], "web2": ["web", "alerts"], "work1": ["worker", "alerts", "mail"]}  # and no beat


@pytest.fixture(scope="module")
def provisioned(fleet, tmp_path_factory):
    """The fleet with an app of such processes."""
    return begun(fleet, tmp_path_factory.mktemp("a shop"), OWN, ROLES)


@pytest.fixture
def shop(provisioned):
    with settled_on(provisioned):
        yield provisioned


def answers(shop):
    """The release that answers at the port of each host which has it."""
    return {name: json.loads(shop.fleet.hosts[name].run("curl -sS -m 5 http://127.0.0.1:2525/"))["release"]
            for name in ("web2", "work1")}


def both(tag):
    return {"web2": tag, "work1": tag}


def containers(shop, name, role):
    form = f"docker ps --filter name=shop-{role} --format '{{{{.Names}}}}'"
    return sorted(shop.fleet.hosts[name].run(form).split())


def test_they_go_with_the_release(shop):
    """Deployed and rolled back with no failed request; one that overlaps runs in both slots until visitors have moved.
    status and logs know them."""
    with shop.load() as load:
        with shop.rolling("deploy", shop.image("v2")) as rolling:
            rolling.until("flip", "web1")
            meanwhile = containers(shop, "web1", "mail"), answers(shop)
            assert rolling.finish().code == 0, rolling.stderr
        assert answers(shop) == both("v2")
        checker.check(shop)
        assert shop.roll("rollback").code == 0
        result = load.stop()
    assert meanwhile == (["shop-mail-a", "shop-mail-b"], both("v1"))
    assert answers(shop) == both("v1") and not result.failures, result.summary()
    status = shop.deploy("status")
    rows = [line.split()[:5] for line in status.stdout.splitlines()]
    assert status.returncode == 0, status.stdout
    assert ["work1", "alerts", "v1", "-", "active"] in rows and ["web1", "mail", "v1"] in [row[:3] for row in rows]
    logs = shop.deploy("logs", "--role", "alerts", "-n", "20").stdout
    assert "work1 | " in logs and "v2 listens at 2525" in logs and "2600" not in logs
    assert shop.deploy("logs", "--role", "wrong").returncode == 2


@pytest.mark.parametrize("fault, said", [("frail", "has ended, and "), ("deaf", "alerts does not listen at port 2525")])
def test_a_bad_one_is_taken_back(shop, fault, said):
    """One that ends while it is watched, or does not listen in time: all hosts go back, and the old ones run again."""
    shop.hosts["web1"]["roles"] = ["web"]  # mail has the same fault, and would be found first
    shop.hosts["work1"]["roles"] = ["worker", "alerts"]
    shop.provision()
    try:
        with settings(shop, ready=8, bake=6):
            outcome = shop.roll("deploy", shop.image(f"bad-{fault}", fault))
        assert outcome.code == 1 and said in outcome.stderr, outcome.stderr
        assert "the old release serves everywhere" in outcome.stderr
        assert answers(shop) == both("v1")
        checker.check(shop)
    finally:
        shop.hosts |= {name: {**shop.hosts[name], "roles": roles} for name, roles in ROLES.items()}
        shop.provision()
        for name in ("web1", "work1"):
            shop.fleet.hosts[name].run("systemctl start shop.target")


def test_one_that_overlaps_and_does_not_get_ready(shop):
    """It ends the deploy before any visitor, and before anything that runs alone, is moved."""
    with settings(shop, ready=6):
        outcome = shop.roll("deploy", shop.image("bad-deaf", "deaf"))
    assert outcome.code == 1 and "mail answers " in outcome.stderr, outcome.stderr
    assert not {"flip", "replace"} & {step for step, _ in outcome.steps("start")}
    assert containers(shop, "web1", "mail") and answers(shop) == both("v1")


def test_the_deployer_dies_when_they_have_moved(shop):
    """The hosts take themselves back, and the old ones run again."""
    with settings(shop, bake=20), shop.rolling("deploy", shop.image("v2")) as rolling:
        rolling.until("watch", "work1")
        assert answers(shop) == both("v2") and len(containers(shop, "work1", "mail")) == 1
        rolling.process.kill()
    shop.settled()
    assert answers(shop) == both("v1")
    assert checker.tags(shop) == {"v1"}


def test_a_boot_brings_the_committed_ones(shop):
    """After a power cut in the middle of a deploy, too."""
    host = shop.fleet.hosts["work1"]
    with settings(shop, bake=20), shop.rolling("deploy", shop.image("v2")) as rolling:
        rolling.until("watch", "work1")
        host.power_cut()
        assert rolling.finish().code
    host.power_on()
    wait_until(lambda: host.ssh("curl -s -m 5 http://127.0.0.1:2525/ | grep '\"v1\"'").returncode == 0, 60,
               "the committed one answers")
    assert answers(shop) == both("v1")
    shop.bring("v1b")
    assert answers(shop) == both("v1b")


def test_a_role_that_is_taken_away_and_comes_back(shop):
    """It stops, and nothing of it is left. It comes back with the release that is live then."""
    host, roles = shop.fleet.hosts["work1"], shop.hosts["work1"]["roles"]
    shop.hosts["work1"]["roles"] = ["worker"]
    try:
        refused = shop.roll("deploy", shop.image("v3"))
        assert refused.code == 2 and "alerts runs there, but the host does not have the role" in refused.stderr
        shop.provision()
        assert containers(shop, "work1", "alerts") == containers(shop, "work1", "mail") == []
        assert host.ssh("cd /etc/systemd/system && ls shop-alerts* shop-mail* /run/shop/alerts*").stdout == ""
        assert shop.changes() == 0
        shop.bring("v3")
    finally:
        shop.hosts["work1"]["roles"] = roles
        shop.provision()
    assert "on work1: alerts is inactive" in shop.deploy("status").stdout
    host.run("systemctl start shop.target")
    wait_until(lambda: host.ssh("curl -s -m 5 http://127.0.0.1:2525/ | grep '\"v3\"'").returncode == 0, 60,
               "it answers as the live release")
