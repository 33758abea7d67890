"""Tests of a team's own processes on the fleet: one with a port and a single container, and one that overlaps."""

import json
import re

import pytest

from e2e import checker
from e2e.rollouts import Shop
from e2e.scenarios import settings
from proc import wait_until

pytestmark = pytest.mark.extra

OWN = {
    "process.alerts.command": "daemon 2525",
    "process.alerts.ready": "port 2525",
    "process.alerts.ports": ["2525:2525"],
    "process.mail.command": "daemon 2600",
    "process.mail.ready": "http :2600/",
    "process.mail.overlap": True,
}
ROLES = {"web1": ["web", "mail"], "web2": ["web", "alerts"], "work1": ["worker", "alerts", "mail"]}  # without beat


@pytest.fixture(scope="module")
def shop(fleet, tmp_path_factory):
    """Deploy v1 of an app with such processes to bare hosts."""
    fleet.reset()
    shop = Shop(fleet, tmp_path_factory.mktemp("a shop"))
    shop.settings |= OWN
    for name, roles in ROLES.items():
        shop.hosts[name]["roles"] = roles
    shop.first("v1", "--no-bake")
    return shop


def answers(shop):
    """Return {host: the release that answers at the process's port}."""
    return {
        name: json.loads(shop.fleet.hosts[name].run("curl -sS -m 30 http://127.0.0.1:2525/"))["release"]
        for name in ("web2", "work1")
    }


def both(tag):
    return {"web2": tag, "work1": tag}


def containers(shop, name, role):
    form = f"docker ps --filter name=shop-{role} --format '{{{{.Names}}}}'"
    return sorted(shop.fleet.hosts[name].run(form).split())


def test_they_go_with_the_release(shop):
    """Both processes are deployed and rolled back without a failed request. The one that overlaps runs in both slots
    until visitors have moved. status and logs include them."""
    with shop.load():
        with settings(shop, canary=30), shop.rolling("deploy", shop.image("v2")) as rolling:
            rolling.until("flip", "web1")
            meanwhile = containers(shop, "web1", "mail"), answers(shop)
            assert rolling.finish().code == 0, rolling.stderr
        assert answers(shop) == both("v2")
        checker.check(shop)
        shop.good("rollback")
    assert meanwhile == (["shop-mail-a", "shop-mail-b"], both("v1"))
    assert answers(shop) == both("v1")
    status = shop.deploy("status")
    rows = [line.split()[:5] for line in status.stdout.splitlines()]
    assert status.returncode == 0, status.stdout
    assert ["work1", "alerts", "v1", "-", "active"] in rows and ["web1", "mail", "v1"] in [row[:3] for row in rows]
    logs = shop.deploy("logs", "--role", "alerts", "-n", "20").stdout
    assert " work1 alerts" in logs and "v2 listens at 2525" in logs and "2600" not in logs
    assert shop.deploy("logs", "--role", "wrong").returncode == 2


def test_a_command_by_the_clock_outlasts_a_deploy(shop):
    """A timer starts it once. A deploy does not end it. status shows that it is due again, that another one fails, and
    that a third one is not in the release. A host that loses the roles loses the timers."""
    # On a busy machine each run of the last two takes seconds: between two there is a time in which neither runs.
    for name, command, every in (("nightly", "beat", 5), ("broken", "exit 37", 30), ("later", "exit 127", 30)):
        shop.settings |= {f"process.{name}.command": command, f"process.{name}.schedule": f"*:*:0/{every}"}
    shop.hosts["work1"]["roles"] = [*ROLES["work1"], "nightly", "broken", "later"]
    shop.provision()
    wait_until(lambda: containers(shop, "work1", "nightly") == ["shop-nightly"], what="the timer has started it")
    began = shop.fleet.hosts["work1"].run("docker inspect --format '{{.Id}} {{.State.StartedAt}}' shop-nightly")
    shop.good("deploy", shop.image("v3"))
    assert shop.fleet.hosts["work1"].run("docker inspect --format '{{.Id}} {{.State.StartedAt}}' shop-nightly") == began
    assert "nightly is active, overdue, as it still runs: see" in shop.deploy("status").stdout
    wait_until(lambda: "broken is failed, exit-code: " in shop.deploy("status").stdout, what="it does not run just now")
    wait_until(
        lambda: re.search("later +- +- +not in release", shop.deploy("status").stdout),
        what="it does not run just now",
    )
    errors = shop.deploy("errors").stdout
    assert "later" not in errors
    assert "nightly: overdue, as it still runs" in errors and "broken: ended with exit code 37" in errors
    shop.fleet.hosts["work1"].run("systemctl stop shop-nightly.timer shop-nightly.service")
    assert containers(shop, "work1", "nightly") == []
    shop.hosts["work1"]["roles"] = ROLES["work1"]
    shop.provision()
    left = shop.fleet.hosts["work1"].run("ls /etc/systemd/system /var/lib/systemd/timers")
    assert "nightly" not in left and "broken" not in left
