"""Deploys to Docker Swarm on three hosts, as a team types them: what hosts of one's own promise, where Swarm can."""

import json
import signal
import time

import pytest

from e2e.scenarios import often
from e2e.swarm_rollouts import begun
from proc import wait_until


@pytest.fixture(scope="module")
def swarm(fleet, tmp_path_factory):
    """The app on a swarm, with v1 live."""
    return begun(fleet, tmp_path_factory.mktemp("swarm"))


@pytest.fixture
def shop(swarm):
    """The same, whatever the test before has left. What is begun is over afterwards, and one release runs."""
    swarm.bring("v1")
    yield swarm
    swarm.settled()
    swarm.is_whole()


def test_no_request_fails(shop):
    """A release comes, and goes: nobody notices, and each visitor meets the one or the other."""
    with shop.load() as load:
        there = shop.roll("deploy", shop.image("v2"))
        assert there.code == 0, there.stderr
        back = shop.roll("rollback")
        assert back.code == 0, back.stderr
    assert not load.result.failures and set(load.result.releases) == {"v1", "v2"}, load.result.summary()
    steps = [step for step, _ in there.steps()]
    assert steps == ["begin", "pull", "verdicts", "update", "update", "watch", "commit"], steps
    shop.alone("v1")
    rows = shop.deploy("releases").stdout.splitlines()
    assert [line.split()[2:5] for line in rows[-2:]] == [["deploy", "v2", "committed"], ["rollback", "v1", "committed"]]


@pytest.mark.parametrize("fault, said", [
    ("crash", "told to crash"),
    ("visitors", "were errors"),
    ("fleeting", "worker: "),
    ("incompatible", "it drops a column"),
])
def test_what_is_bad_is_taken_back(shop, fault, said):
    """Whole, whichever service it was. Only one that spoils answers to visitors is ever met by them."""
    with shop.load() as load:
        outcome = shop.roll("deploy", shop.image(fault, fault))
    assert outcome.code == (2 if fault == "incompatible" else 1) and said in outcome.stderr, outcome.stderr
    shop.alone("v1")
    met = [record for record in load.result.records if record.release == fault]
    if fault == "visitors":
        assert met and len(met) < len(load.result.records) / 3, load.result.summary()
    elif fault != "fleeting":
        assert not met
    assert all(record.release == fault for record in load.result.failures), load.result.summary()


def test_a_rollback_brings_the_settings(shop):
    """Those of the release that it goes back to."""
    staged = shop.deploy("env", "set", input="COLOUR=blue\n")
    assert staged.returncode == 0 and "COLOUR" not in shop.environment()
    assert shop.roll("deploy", shop.image("v2")).code == 0
    assert shop.environment()["COLOUR"] == "blue"
    assert shop.roll("rollback").code == 0
    assert "COLOUR" not in shop.environment()


@pytest.mark.parametrize("step", often(("begin", "verdicts", "update", "watch", "commit"), ("update", "commit")))
def test_a_killed_deployer(shop, step):
    """The manager's agent ends what it had begun: all is on one release, and no visitor notices."""
    with shop.load() as load, shop.rolling("deploy", shop.image("v2")) as rolling:
        rolling.until(step)
        rolling.process.send_signal(signal.SIGKILL)
        rolling.process.wait(10)
        shop.settled()
    assert not load.result.failures, load.result.summary()
    live = shop.live()
    assert live == "v1" or (step, live) == ("commit", "v2")
    shop.alone(live)


def test_a_lost_manager(shop):
    """The deployer loses the host that it works through, and has another one take all back."""
    first = shop.fleet.hosts["web1"]
    with shop.rolling("deploy", shop.image("v2")) as rolling:
        rolling.until("update")
        first.power_cut()
        try:
            outcome = rolling.finish()
        finally:
            first.power_on()
    assert outcome.code == 1 and "taken back" in outcome.stderr, outcome.stderr
    shop.alone("v1")


def test_a_lost_node(shop):
    """Another host is lost: its containers start elsewhere, and the deploy goes on."""
    lost = shop.fleet.hosts["web2"]
    with shop.rolling("deploy", shop.image("v2")) as rolling:
        rolling.until("update")
        lost.power_cut()
        try:
            outcome = rolling.finish()
        finally:
            lost.power_on()
    assert outcome.code == 0, outcome.stderr
    shop.alone("v2")


def test_what_is_asked_of_it(shop):
    """status, logs and run mean what they mean on hosts."""
    status = shop.deploy("status", "--json")
    assert status.returncode == 0 and not json.loads(status.stdout)["problems"]
    host = "web1"
    ran = shop.deploy("run", host, "--", "hello", "world")
    assert json.loads(ran.stdout)["command"] == ["hello", "world"], ran.stderr
    logs = shop.deploy("logs", "--role", "web", "-n", "20").stdout
    assert "shop-web[" in logs and f"{host} | " in logs
    shop.fleet.hosts[host].run("docker service scale --detach shop_worker=0")
    wait_until(lambda: shop.deploy("status").returncode == 1, 30, "status tells that a service is not as committed")
    began = time.monotonic()
    assert shop.roll("deploy", "v1").code == 0 and time.monotonic() - began < 240
