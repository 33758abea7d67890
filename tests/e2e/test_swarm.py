"""A swarm of three hosts, as a team types it: what docs/swarm.md says that Swarm keeps, and what it does not."""

import signal

import pytest

from e2e.swarm import begun
from proc import wait_until

pytestmark = pytest.mark.rare  # a swarm keeps its own promise, not that of hosts


@pytest.fixture(scope="module")
def swarm(fleet, tmp_path_factory):
    """The app on a swarm, with v1 live."""
    return begun(fleet, tmp_path_factory.mktemp("swarm"))


@pytest.fixture
def shop(swarm):
    """The same, whatever the test before has left."""
    swarm.bring("v1")
    return swarm


def test_provisioning_leaves_a_swarm_alone(shop):
    """The second time there is nothing to do; live-restore stays off, and there is nothing of slots."""
    shop.provision()  # a balancer takes hosts that answer now
    assert shop.changes() == 0 and "\n0 changes to make (" in "\n" + shop.provision("--check")
    for host in shop.machines().values():
        assert host.run("docker info --format '{{.LiveRestoreEnabled}}'") == "false\n"
        programs = host.run("ls /etc/systemd/system /usr/local/bin")
        assert not any(name in programs for name in ("shop", "docker-runner", "docker-slot"))


def test_no_request_fails(shop):
    """A release comes with one more container and another proxy, and goes: nobody notices, and each visitor meets the
    one or the other."""
    with shop.load() as load:
        shop.settings["engine.replicas.web"] = 4
        there = shop.roll("deploy", shop.image("v2"))
        assert there.code == 0, there.stderr
        shop.alone("v2")
        shop.settings["engine.replicas.web"] = 3
        back = shop.roll("rollback")
        assert back.code == 0, back.stderr
    assert len(load.result.records) > 100 and not load.result.failures, load.result.summary()
    assert set(load.result.releases) == {"v1", "v2"}, load.result.summary()
    assert [step for step, _ in there.steps()] == ["pull", "migrate", "update"]
    shop.alone("v1")
    assert "there is no way back" in shop.roll("rollback").stderr


@pytest.mark.parametrize("fault, said", [
    ("crash", "web: "),
    ("unready", "web: "),
    ("fleeting", "worker: "),
    ("migration", "told to fail"),
])
def test_what_is_bad_is_taken_back(shop, fault, said):
    """Whole, whichever service it was. One that is not ready is never met by visitors."""
    with shop.load() as load:
        outcome = shop.roll("deploy", shop.image(fault, fault))
    assert outcome.code == 1 and said in outcome.stderr and "v1 serves" in outcome.stderr, outcome.stderr
    shop.alone("v1")
    met = [record for record in load.result.records if record.release == fault]
    assert not met or fault == "fleeting", load.result.summary()
    assert not load.result.failures, load.result.summary()


def test_a_rollback_brings_the_settings(shop):
    """Those of the release that it goes back to; a secret is a file there."""
    assert shop.deploy("env", "set", input="COLOUR=blue\n").returncode == 0
    assert shop.deploy("env", "set-file", "CERT", "-", input="a\nb\n").returncode == 0
    assert "staged: set" in shop.deploy("env", "list").stdout and "COLOUR" not in shop.environment()
    assert shop.roll("deploy", shop.image("v3"), "--no-bake").code == 0
    found = shop.environment()
    assert found["COLOUR"] == "blue" and found["CERT_FILE"].startswith("/run/secrets/CERT.")
    assert shop.fleet.hosts["web1"].run("docker exec $(docker ps -qf name=^shop_web | head -n1) sh -c"
                                        f" 'cat {found['CERT_FILE']}'") == "a\nb\n"
    assert shop.roll("rollback").code == 0
    assert "COLOUR" not in shop.environment()
    assert shop.deploy("env", "unset", "COLOUR", "CERT_FILE").returncode == 0


def test_a_killed_deployer(shop):
    """Swarm goes on with what it was told; no visitor notices, and the next deploy brings one release everywhere."""
    with shop.load() as load, shop.rolling("deploy", shop.image("v2")) as rolling:
        rolling.until("update")
        wait_until(lambda: "updating" in shop.deploy("status").stdout, 60, "Swarm has begun")
        assert "try again after it" in shop.roll("rollback").stderr
        rolling.process.send_signal(signal.SIGKILL)
        rolling.process.wait(10)
        shop.alone("v2")
    assert not load.result.failures, load.result.summary()


def test_an_interrupted_deployer(shop):
    """It takes all back first."""
    with shop.rolling("deploy", shop.image("v2")) as rolling:
        rolling.until("update")
        wait_until(lambda: "updating" in shop.deploy("status").stdout, 60, "Swarm has begun")
        rolling.process.send_signal(signal.SIGTERM)
        assert rolling.finish().code == 130
    shop.alone("v1")


def test_a_lost_manager(shop):
    """The deployer loses the host that it works through, and goes on by another one; containers start elsewhere."""
    first = shop.fleet.hosts["web1"]
    with shop.rolling("deploy", shop.image("v2")) as rolling:
        rolling.until("update")
        first.power_cut()
        try:
            outcome = rolling.finish()
        finally:
            first.power_on()
    shop.alone("v2" if outcome.code == 0 else "v1")


def test_what_is_asked_of_it(shop):
    """status, logs, run, plan and releases mean what they mean on hosts; what has no meaning says so."""
    ran = shop.deploy("run", "web1", "--", "hello", "world")
    assert '["hello", "world"]' in ran.stdout, ran.stderr
    logs = shop.deploy("logs", "--role", "web", "-n", "20").stdout
    assert "shop-web[" in logs and "web1 | " in logs
    assert "update" in shop.deploy("plan", "v1").stdout and " v1 " in shop.deploy("releases").stdout
    assert "has no meaning" in shop.deploy("watch").stderr
    shop.manager.run("docker service scale --detach shop_worker=0")
    wait_until(lambda: shop.deploy("status").returncode == 1, 30, "status tells that a service is not as deployed")
    assert shop.roll("deploy", "v1").code == 0
