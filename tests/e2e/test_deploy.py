"""Deploys and rollbacks on the fleet under load: what goes well, and what is taken back."""

import signal
import sys

import pytest

from e2e import checker
from e2e.fleet import apps
from e2e.fleet.docker import docker
from e2e.rollouts import Shop
from proc import ROOT, run, wait_until

BAD = {  # fault → what is on screen
    "crash": "web ended as soon as it had started",
    "error": "/readyz answers 500",
    "unready": "/readyz answers 503",
    "impostor": "/readyz answers as release another",
    "visitors": "/ answers 500",
    "migration": "migrate failed: exit 1",
    "idle": "the worker is not consuming",
}


@pytest.fixture(scope="module")
def provisioned(fleet, tmp_path_factory):
    """The fleet with an app provisioned and its first release live."""
    fleet.reset()
    shop = Shop(fleet, tmp_path_factory.mktemp("a shop"))
    shop.provision()
    outcome = shop.roll("deploy", "v1")
    assert outcome.code == 0, outcome.stderr
    checker.check(shop)
    return shop


@pytest.fixture
def shop(provisioned):
    """That app with v1 live. Whatever a test does to it, the invariants hold afterwards."""
    provisioned.bring("v1")
    yield provisioned
    provisioned.settled()
    checker.check(provisioned)


def unharmed(result, release="v1"):
    """No request failed, and nobody saw another release."""
    assert not result.failures, result.summary()
    assert set(result.releases) == {release}, result.summary()


def test_a_release_and_back_under_load(shop):
    """v1 to v2 and back by rollback: no request fails, and on no host v1 answers after v2 has, nor v2 after v1."""
    shop.image("v2")
    with shop.load(rate=100) as load:
        outcome = shop.roll("deploy", "v2")
        result = load.stop()
    assert outcome.code == 0, outcome.stderr
    assert not result.failures, result.summary()
    assert not [late for host in shop.web for late in result.of(host.url).late("v1", "v2")], result.summary()
    checker.check(shop)
    with shop.load(rate=100) as load:
        outcome = shop.roll("rollback")
        result = load.stop()
    assert outcome.code == 0, outcome.stderr
    assert not result.failures, result.summary()
    assert not [late for host in shop.web for late in result.of(host.url).late("v2", "v1")], result.summary()
    assert checker.tags(shop) == {"v1"}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_release_is_taken_back(shop, fault):
    """The old release serves everywhere all the while, exit 1, the cause on screen; a good one then goes out."""
    shop.image(f"bad-{fault}", fault)
    with shop.load() as load:
        outcome = shop.roll("deploy", f"bad-{fault}")
        result = load.stop()
    assert outcome.code == 1, outcome.stderr
    assert BAD[fault] in outcome.stderr and "taken back: the old release serves everywhere" in outcome.stderr
    unharmed(result)
    checker.check(shop)
    assert shop.roll("deploy", "v1", "--no-bake").code == 0


def test_a_release_that_errs_only_under_visitors(shop):
    """Its own 500s alone, on hosts that had flipped, until at most 2 s after the gate; no connection is dropped."""
    with shop.load(rate=100) as load:
        outcome = shop.roll("deploy", shop.image("bad-posts", "posts"))
        result = load.stop()
    assert outcome.code == 1 and "answers to visitors" in outcome.stderr, outcome.stderr
    gate = min(event["at"] for event in outcome.events if event.get("state") == "failed" and event["step"] == "watch")
    for record in result.failures:
        assert (record.cause, record.release) == ("http 500", "bad-posts"), result.summary()
        assert result.began + record.started < gate + 2
    flipped = {shop.fleet.hosts[host].url for step, host in outcome.steps() if step == "flip"}
    balancers = {shop.fleet.hosts[name].url for name, host in shop.hosts.items() if host.get("balancer")}
    assert {record.target for record in result.failures} <= flipped | balancers


def test_what_is_refused_touches_nothing(shop):
    """No such tag; a migration that the live release would fail with: exit 2, told by name, nothing changed."""
    outcome = shop.roll("deploy", "nowhere")
    assert outcome.code == 2 and "shop:nowhere is not to be had" in outcome.stderr
    outcome = shop.roll("deploy", shop.image("inc", "incompatible"))
    assert outcome.code == 2, outcome.stderr
    assert "home.0002_drop_a_column: it drops a column" in outcome.stderr
    assert "home.0001_initial" not in outcome.stderr
    assert checker.tags(shop) == {"v1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_takes_back(shop, number):
    """Ctrl-C, TERM and HUP in the middle: the old release everywhere, exit 1, no request lost."""
    shop.image("v2")
    with shop.load() as load, shop.rolling("deploy", "v2") as rolling:
        rolling.until("watch")
        rolling.process.send_signal(number)
        outcome = rolling.finish()
        result = load.stop()
    assert outcome.code == 1, outcome.stderr
    assert not result.failures, result.summary()
    assert checker.tags(shop) == {"v1"}


STEPS = ("lock", "begin", "pull", "publish", "ready", "flip", "watch", "beat", "prepare", "commit")


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_deployer_leaves_every_host_whole(shop, step):
    """kill -9 of the deployer at any step: by themselves all hosts come to one release, without losing a request."""
    shop.image("v2")
    with shop.load() as load, shop.rolling("deploy", "v2") as rolling:
        rolling.until(step)
        rolling.process.kill()
        shop.settled(90)
        result = load.stop()
    assert not result.failures, result.summary()
    checker.check(shop, divided=step == "prepare")
    assert shop.roll("deploy", "v1", "--no-bake").code == 0


@pytest.mark.parametrize("step", STEPS[1:-1])
def test_a_killed_agent_leaves_every_host_whole(shop, step):
    """kill -9 of the agent on a host at any step: that host takes itself back, the deployer the others."""
    shop.image("v2")
    with shop.load() as load, shop.rolling("deploy", "v2") as rolling:
        name = rolling.until(step)["host"]
        shop.fleet.hosts[name].console("systemctl kill -s KILL shop-deploy", check=False)
        outcome = rolling.finish()
        result = load.stop()
    shop.settled(90)
    assert not result.failures, result.summary()
    found = checker.check(shop, divided=step == "prepare")
    tags = {checker.release(host["tag"])["TAG"] for host in found.values()}
    assert (outcome.code, tags) in ((1, {"v1"}), (0, {"v2"})) or step == "prepare", outcome.stderr
    assert shop.roll("deploy", "v1", "--no-bake").code == 0


def test_a_host_that_is_cut_off_takes_itself_back(shop):
    """Nothing reaches a host between pull and flip: exit 1, and after dead_after it is back by itself, as are the
    others at once."""
    shop.image("v2")
    host = shop.web[0]
    with shop.rolling("deploy", "v2") as rolling:
        rolling.until("publish")
        with host.cut_off():
            outcome = rolling.finish()
            wait_until(lambda: "inactive" in host.console("systemctl is-active shop-deploy", check=False).stdout, 60,
                       "the host has taken itself back")
    assert outcome.code == 1, outcome.stderr
    assert f"{host.name} can't be asked and does the same within 6 s" in outcome.stderr
    checker.check(shop)
    assert shop.roll("deploy", "v1", "--no-bake").code == 0


def test_of_two_deploys_one_goes_on(shop):
    """A second deploy while one is under way exits with 4 and names it; the first is not disturbed."""
    shop.image("v2"), shop.image("v3")
    with shop.rolling("deploy", "v2") as first:
        first.until("begin")
        second = shop.roll("deploy", "v3")
        assert second.code == 4 and "locked: deploy v2 by " in second.stderr, second.stderr
        assert first.finish().code == 0
    assert checker.tags(shop) == {"v2"}


def test_the_old_slot_retires(shop):
    """After keep_warm the old slot drains and stops; a rollback then starts it anew, without losing a request."""
    shop.settings["rollout.keep_warm"] = 1
    try:
        assert shop.roll("deploy", shop.image("v2"), "--no-bake").code == 0
    finally:
        del shop.settings["rollout.keep_warm"]

    def retired():
        return not any(checker.read(host, "shop")["slots"][slot] for host in shop.machines().values()
                       for slot in "ab" if not checker.read(host, "shop")["web_sock"].startswith(slot))
    wait_until(retired, 60, "old slots are empty")
    with shop.load() as load:
        assert shop.roll("rollback").code == 0
        result = load.stop()
    assert not result.failures, result.summary()


def test_settings_come_with_a_release_and_go_with_it(shop):
    """Staged settings are live after a deploy of what is live; with a release that fails they stay staged."""
    assert shop.deploy("env", "set", input="GREETING=hello\n").returncode == 0
    assert shop.roll("deploy", shop.image("bad-crash", "crash")).code == 1
    assert {checker.read(host, "shop")["settings"] for host in shop.machines().values()} != {"GREETING=hello\n"}
    revert = {checker.read(host, "shop")["revert"] for host in shop.machines().values()}
    assert shop.roll("deploy", "v1", "--no-bake").code == 0
    for host in shop.machines().values():
        found = checker.read(host, "shop")
        assert "GREETING=hello\n" in found["settings"] and found["revert"] in revert


def test_an_image_is_sent_without_a_registry(shop, tmp_path):
    """registry = "ssh": the image of the engine here goes to the hosts; of a second, small change little does."""
    sent = Shop(shop.fleet, tmp_path, "sent")
    sent.settings.update(registry="ssh", image="sent")
    sent.hosts = {shop.web[0].name: {"roles": ["web"]}}
    try:
        sent.provision()
        bytes_sent = []
        for tag, base, size in (("v1", apps.echo(), 2_000_000), ("v2", "sent:v1", 1000)):
            docker("build", "--quiet", "--tag", f"sent:{tag}", "-", input=(
                f"FROM {base}\nRUN head -c {size} /dev/urandom >/{tag}\nENV RELEASE={tag}\n").encode())
            outcome = sent.roll("deploy", tag, "--no-bake")
            assert outcome.code == 0, outcome.stderr
            bytes_sent += [event["bytes"] for event in outcome.events if event["event"] == "sent"]
        assert bytes_sent[1] < 0.05 * bytes_sent[0]
        checker.check(sent)
    finally:
        sent.provision("--remove", shop.web[0].name)
        docker("rmi", "sent:v1", "sent:v2", check=False)


def test_variables_describe_a_fleet_too(shop):
    """HOSTS, CELERY_HOSTS and BEAT_HOSTS with no file at all: make deploy and make rollback work."""
    hosts = {role: " ".join(name for name, host in shop.hosts.items() if role in host["roles"])
             for role in ("web", "worker", "beat")}
    words = [f"HOSTS={hosts['web']}", f"CELERY_HOSTS={hosts['worker']}", f"BEAT_HOSTS={hosts['beat']}", "APP=shop",
             f"IMAGE={shop.settings['image']}", f"PYTHON={sys.executable}", f"SSH_CONFIG={shop.fleet.ssh_config}"]
    done = run(["make", "deploy", f"TAG={shop.image('v2')}", "ARGS=--no-bake", *words], cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert checker.tags(shop) == {"v2"}
    done = run(["make", "rollback", *words], cwd=ROOT, timeout=240)
    assert done.returncode == 0 and checker.tags(shop) == {"v1"}, done.stdout + done.stderr


def test_status_shows_what_runs_and_what_is_amiss(shop):
    """All well: exit 0, a row a role. Another unit than the checkout's, beat stopped: exit 1, each told by name."""
    done = shop.deploy("status")
    assert done.returncode == 0, done.stdout
    rows = [line.split()[:3] for line in done.stdout.splitlines()[1:]]
    assert all([name, role, "v1"] in rows for name, host in shop.hosts.items() for role in host["roles"]), rows
    host = shop.fleet.hosts[next(name for name, host in shop.hosts.items() if "beat" in host["roles"])]
    host.run("systemctl stop shop-beat; echo '# changed' >>/etc/systemd/system/shop.target")
    try:
        done = shop.deploy("status")
        assert done.returncode == 1
        assert f"on {host.name}: beat is inactive" in done.stdout
        assert f"on {host.name}: /etc/systemd/system/shop.target not as in this checkout" in done.stdout
    finally:
        host.run("sed -i '$d' /etc/systemd/system/shop.target; systemctl daemon-reload; systemctl start shop-beat")


def test_a_deploy_takes_one_connection_a_host(shop):
    """sshd sees one login a host, however many steps there are."""
    host = shop.web[0]
    count = "journalctl -u ssh --no-pager | grep -c 'Accepted publickey'"
    before = int(host.run(count))
    assert shop.roll("deploy", shop.image("v2"), "--no-bake").code == 0
    assert int(host.run(count)) - before - 1 == 1
