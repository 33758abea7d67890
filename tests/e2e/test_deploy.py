"""Deploys on the fleet: retirement, settings, variables, shipping by ssh, status, connections."""


import pytest

from e2e import checker
from e2e.fleet import apps
from e2e.fleet.docker import docker
from e2e.rollouts import Shop, begun, settled_on
from proc import wait_until


@pytest.fixture(scope="module")
def provisioned(fleet, tmp_path_factory):
    return begun(fleet, tmp_path_factory.mktemp("a shop"))


@pytest.fixture
def shop(provisioned):
    with settled_on(provisioned):
        yield provisioned


def test_the_old_slot_retires(shop):
    """After keep_warm the old slot drains and stops, and images go that neither REVERT nor the last releases need, and
    agents of other versions; a rollback then starts it anew, without losing a request."""
    for host in shop.machines().values():
        host.run("touch /run/shop/agent-of-before.py /run/shop/agent-of-before.pyc")
    shop.settings.update({"rollout.keep_warm": 1, "rollout.keep_releases": 1})
    try:
        assert shop.roll("deploy", shop.image("v1b"), "--no-bake").code == 0
        logins = "journalctl -u ssh --no-pager | grep -c 'Accepted publickey'"
        before, tag = int(shop.web[0].run(logins)), shop.image("v2")
        assert shop.roll("deploy", tag, "--no-bake").code == 0
        assert int(shop.web[0].run(logins)) - before - 1 == 1, "a deploy takes one connection a host"
    finally:
        del shop.settings["rollout.keep_warm"], shop.settings["rollout.keep_releases"]

    def retired():
        return not any(host["slots"][slot] for host in checker.read_all(shop).values()
                       for slot in "ab" if not host["web_sock"].startswith(slot))
    wait_until(retired, 60, "old slots are empty")
    agents = "cd /run/shop && ls agent-*"
    for host in shop.machines().values():
        wait_until(lambda host=host: "before" not in host.run(agents), 60, f"old agents left {host.name}")
        text, compiled = host.run(agents).split()
        assert compiled == text + "c"
    names = f"docker image ls --format '{{{{.Tag}}}}' {shop.settings['image']} | sort"
    for host in shop.machines().values():
        wait_until(lambda host=host: host.run(names).split() == ["v1b", "v2"], 60, f"old images left {host.name}")
    with shop.load() as load:
        assert shop.roll("rollback").code == 0
        result = load.stop()
    assert not result.failures, result.summary()


def test_settings_come_with_a_release_and_go_with_it(shop):
    """Staged settings are live after a deploy of what is live; with a release that fails they stay staged."""
    assert shop.deploy("env", "set", input="GREETING=hello\n").returncode == 0
    assert shop.roll("deploy", shop.image("bad-crash", "crash")).code == 1
    assert not [host for host in shop.machines().values() if "GREETING" in checker.read(host, "shop")["settings"]]
    revert = {checker.read(host, "shop")["revert"] for host in shop.machines().values()}
    assert shop.roll("deploy", "v1", "--no-bake").code == 0
    for host in shop.machines().values():
        found = checker.read(host, "shop")
        assert "GREETING=hello\n" in found["settings"] and found["revert"] in revert


@pytest.mark.extra
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


def test_status_shows_what_runs_and_what_is_amiss(shop):
    """All well: exit 0, a row a role. Another unit than the checkout's, beat stopped, beat that has just ended and came
    back: exit 1, each told by name."""
    done = shop.deploy("status")
    assert done.returncode == 0, done.stdout
    rows = [line.split()[:3] for line in done.stdout.splitlines()[1:]]
    assert all([name, role, "v1"] in rows for name, host in shop.hosts.items() for role in host["roles"]), rows
    host = shop.fleet.hosts[next(name for name, host in shop.hosts.items() if "beat" in host["roles"])]
    host.run("docker kill shop-beat")
    told = "beat ends again and again: its unit restarted 1 x"
    wait_until(lambda: told in shop.deploy("status").stdout, 30, "it shows")
    host.run("systemctl stop shop-beat; echo '# changed' >>/etc/systemd/system/shop.target")
    try:
        done = shop.deploy("status")
        assert done.returncode == 1
        assert f"on {host.name}: beat is inactive" in done.stdout
        assert f"on {host.name}: /etc/systemd/system/shop.target not as in this checkout" in done.stdout
    finally:
        host.run("sed -i '$d' /etc/systemd/system/shop.target; systemctl daemon-reload; systemctl start shop-beat")


def test_a_release_that_cannot_boot_before_its_migrations(shop):
    """Its webs end at first. They are given the migrations, and are started anew: none is taken for broken."""
    slots = {host: "b" if host.run("readlink /run/shop/web.sock").startswith("a") else "a" for host in shop.web}
    with shop.rolling("deploy", shop.image("needy", "needy"), "--no-bake", "--allow-incompatible") as rolling:
        rolling.until("migrate")
        for host, slot in slots.items():
            host.run(f"touch /run/shop/{slot}/migrated")  # the database, which all share
        outcome = rolling.finish()
    assert outcome.code == 0, outcome.stderr
    assert [event for event in outcome.events if "may need the migrations" in event.get("text", "")]


def test_a_release_that_a_migration_parts_from_its_database(shop):
    """Deployed all the same with --allow-incompatible; a rollback, and a deploy of the older release, are then refused,
    by the migration's name, and done when told so too."""
    tag = shop.image("parted", "incompatible")
    assert shop.roll("deploy", tag, "--no-bake", "--allow-incompatible").code == 0
    for words in (["rollback"], ["deploy", "v1", "--no-bake"]):
        outcome = shop.roll(*words)
        assert outcome.code == 2 and "home.0002_drop_a_column: it drops a column" in outcome.stderr, outcome.stderr
    assert checker.tags(shop) == {tag}
    assert shop.roll("rollback", "--allow-incompatible").code == 0
    assert checker.tags(shop) == {"v1"}
