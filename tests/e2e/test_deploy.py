"""Tests of deploys: their effects, refusals and options; and of the commands beside them."""

import json
import signal
import sys

import pytest

from e2e import checker
from e2e.fleet import apps
from e2e.rollouts import Shop
from e2e.scenarios import good, live, settings, succeed, unreachable
from proc import run, wait_until
from slipway.fleet.docker import docker

TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
BACK = "taken back: the old release serves everywhere"


def test_the_old_slot_retires(shop):
    """After keep_warm the old slot drains and stops. Images that neither REVERT nor the last releases need are removed.
    A rollback then starts the old release again, without losing a request."""
    hosts, old = shop.machines().values(), live(shop)
    logins = "journalctl --sync; journalctl -u ssh --no-pager | grep -c 'Accepted publickey'"
    with settings(shop, keep_warm=1, keep_releases=1):
        before, new = int(shop.web[0].run(logins)), good(shop)
        shop.good("deploy", new, "--no-bake")
        assert int(shop.web[0].run(logins)) - before - 1 == 1, "a deploy takes one connection a host"

    def retired():
        return not any(
            host["slots"][slot]
            for host in checker.read_all(shop).values()
            for slot in "ab"
            if not host["web_sock"].startswith(slot)
        )

    wait_until(retired, 60, "old slots are empty")
    names = f"docker image ls --format '{{{{.Tag}}}}' {shop.settings['image']}"
    for host in hosts:
        wait_until(
            lambda host=host: sorted(host.run(names).split()) == sorted([old, new]), 60, f"old images left {host.name}"
        )
    with shop.load():
        shop.good("rollback")
    assert live(shop) == old


def test_settings_come_with_a_release(shop):
    """A deploy of the live release makes staged settings live, and leaves REVERT unchanged."""
    before = checker.check(shop)
    shop.set(GREETING="hello")
    shop.good("deploy", live(shop), "--no-bake")
    for name, host in checker.check(shop).items():
        assert "GREETING" not in before[name]["settings"] and "GREETING=hello\n" in host["settings"]
        assert host["revert"] == before[name]["revert"]


def test_status_shows_what_is_amiss(shop):
    """If all is well, status exits with 0 and shows a row for each role, and `watch` finds nothing. It exits with 1 and
    names files that differ from the checkout, a stopped beat, or a beat that was restarted."""
    done, tag, host = shop.deploy("status"), live(shop), shop.fleet.hosts["work1"]
    assert done.returncode == 0, done.stdout
    rows = [line.split()[:3] for line in done.stdout.splitlines()[1:]]
    assert all([name, role, tag] in rows for name, each in shop.hosts.items() for role in each["roles"]), rows
    watched = shop.deploy("watch", "--once")
    assert watched.returncode == 0 and "web2: up" in watched.stdout, watched.stdout + watched.stderr
    host.run("docker kill shop-beat")
    wait_until(lambda: "beat keeps exiting: its unit restarted 1 x" in shop.deploy("status").stdout)
    changes = "chmod 666 /etc/default/shop.env; echo '# changed' >>/etc/systemd/system/shop.target"
    host.run(f"systemctl stop shop-beat; {changes}")
    try:
        done = shop.deploy("status")
        assert done.returncode == 1 and "on work1: beat is inactive" in done.stdout
        differs = (
            "differs from this checkout in /etc/default/shop.env (mode 666, not 600), /etc/systemd/system/shop.target"
        )
        assert f"on work1: {differs}: run slipway provision" in done.stdout, done.stdout
    finally:
        host.run("chmod 600 /etc/default/shop.env; sed -i '$d' /etc/systemd/system/shop.target")
        host.run("systemctl daemon-reload; systemctl start shop-beat")


def test_a_migration_that_the_old_release_cannot_bear(shop):
    """The migration is refused by name, unless --allow-incompatible is given: then webs that exit before it has run are
    started again. A rollback across it is refused as well."""
    old, tag, why = live(shop), shop.image("needy", "needy"), "home.0002_drop_a_column: it drops a column"
    slots = {host: "b" if host.run("readlink /run/shop/web.sock").startswith("a") else "a" for host in shop.web}
    for words in (["deploy", tag], ["deploy", tag, "--no-bake", "--allow-incompatible"]):
        with shop.rolling(*words) as rolling:
            if words[-1] == "--allow-incompatible":
                rolling.until("migrate")
                for host, slot in slots.items():
                    host.run(f"touch /run/shop/{slot}/migrated")  # stands for the database, which all share
            outcome = rolling.finish()
        if words[-1] == tag:
            assert outcome.code == 2 and why in outcome.stderr and live(shop) == old, outcome.stderr
    assert outcome.code == 0, outcome.stderr
    assert [event for event in outcome.events if "may need the migrations" in event.get("text", "")]
    refused = shop.roll("rollback")
    assert refused.code == 2 and why in refused.stderr and live(shop) == tag, refused.stderr
    assert shop.roll("rollback", "--allow-incompatible").code == 0 and live(shop) == old


def test_a_deployer_that_stands_still(shop):
    """If a deployer is silent for dead_after, all hosts go back, and no request is lost. Resumed, it reports that."""
    old, new = live(shop), good(shop)
    with settings(shop, bake=60), shop.load(rate=30) as load, shop.rolling("deploy", new) as rolling:
        rolling.until("watch", "work1")
        rolling.process.send_signal(signal.SIGSTOP)
        shop.settled(90)
        rolling.process.send_signal(signal.SIGCONT)
        outcome = rolling.finish()
    assert outcome.code == 1 and BACK in outcome.stderr, outcome.stderr
    assert live(shop) == old and new in load.result.releases, load.result.summary()


@pytest.mark.extra
def test_a_host_that_cannot_be_reached_is_left_out(shop):
    """The host is skipped only with --skip-unreachable, and with a warning. status shows it, a rollback then asks for a
    target, and the next deploy includes the host. Beat's host is never skipped."""
    old, new = live(shop), good(shop)
    with unreachable(shop, "web2"):
        done = shop.deploy("deploy", new, "--no-bake", "--skip-unreachable")
        assert done.returncode == 0 and "web2: SKIPPED, cannot be reached" in done.stdout, done.stdout + done.stderr
        assert shop.deploy("rollback").returncode == 2, "a rollback is not less careful"
    found = checker.check(shop, divided=True)
    assert {name: checker.release(host["tag"])["TAG"] for name, host in found.items()} == {
        "web1": new,
        "web2": old,
        "work1": new,
    }
    shown = shop.deploy("status")
    assert shown.returncode == 1 and f"on web2: {old} is committed, but not on all hosts" in shown.stdout
    assert "hosts would go back to different releases" in shop.deploy("rollback").stderr
    succeed(shop)
    with unreachable(shop, "work1"):
        outcome = shop.roll("deploy", good(shop), "--skip-unreachable")
    assert outcome.code == 2 and "on work1: cannot be reached" in outcome.stderr and not outcome.done(), outcome.stderr


@pytest.mark.extra
def test_a_command_on_a_host(shop):
    """The command runs in the live release as the app's user, with its words unchanged. Its exit code is returned. It
    gets a terminal if the caller has one."""
    words = ["manage", "a  b", "it's", "$HOME", "-x"]
    said = json.loads(shop.deploy("run", "--host=web2", *words).stdout)
    assert said["command"] == words and said["environment"]["RELEASE"] == live(shop)
    assert said["uid"] == int(shop.web[1].run("id -u shop")) and "TERM" not in said["environment"]
    assert shop.deploy("run", "--host=work1", "exit", "37").returncode == 37
    typed = run([sys.executable, "-c", TERMINAL, *shop.command("run", "--host=web1", "manage", "x")])
    assert json.loads(typed.stdout)["environment"]["TERM"], "at a terminal it has one, too"


@pytest.mark.extra
def test_an_image_is_sent_without_a_registry(shop, tmp_path):
    """With registry = "ssh", this machine's image is sent to the hosts; for a small change, only little is sent."""
    sent = Shop(shop.fleet, tmp_path, "sent")
    sent.settings.update(registry="ssh", image="sent")
    sent.hosts = {"web1": {"roles": ["web"]}}
    try:
        sent.provision()
        bytes_sent = []
        for tag, base, size in (("v1", apps.echo(), 2_000_000), ("v2", "sent:v1", 1000)):
            docker(
                "build",
                "--quiet",
                "--tag",
                f"sent:{tag}",
                "-",
                input=(f"FROM {base}\nRUN head -c {size} /dev/urandom >/{tag}\nENV RELEASE={tag}\n").encode(),
            )
            outcome = sent.good("deploy", tag, "--no-bake")
            bytes_sent += [event["bytes"] for event in outcome.events if event["event"] == "sent"]
        assert bytes_sent[1] < 0.05 * bytes_sent[0]
        checker.check(sent)
    finally:
        sent.provision("--remove", "web1")
        docker("rmi", "sent:v1", "sent:v2", check=False)
