"""Tests of interrupted deploys: at any step, hosts agree on one complete release by themselves."""

import contextlib
import signal

import pytest

from e2e import checker
from e2e.scenarios import good, live, often, settings, severed, slow, succeed
from proc import wait_until

STEPS = ("lock", "begin", "pull", "publish", "ready", "flip", "watch", "replace", "prepare", "commit")
INTERRUPTS = [*((signal.SIGINT, step) for step in STEPS[:-1]), (signal.SIGTERM, "watch"), (signal.SIGHUP, "flip")]
# These are before the flip, between flip and commit, and during the commit; the other steps are variants.
OFTEN = [(signal.SIGINT, "ready"), (signal.SIGTERM, "watch")]
OFTEN_KILLED = ("watch", "commit")


def tags(result):
    """Return the set of committed tags in the result of checker.check."""
    return {checker.release(host["tag"])["TAG"] for host in result.values()}


@pytest.mark.parametrize("number, step", often(INTERRUPTS, OFTEN))
def test_an_interrupt_takes_back(shop, number, step):
    """After Ctrl-C, TERM or HUP at any step, the old release serves everywhere, the exit code is 1, and no request is
    lost. If all hosts have prepared, the signal is too late: the new release serves, with exit 0."""
    old, new = live(shop), good(shop)
    # A long watch lets no deploy end before the signal.
    with settings(shop, bake=20), shop.load(), shop.rolling("deploy", new) as rolling:
        rolling.until(step)
        rolling.process.send_signal(number)
        outcome = rolling.finish()
    assert (outcome.code, live(shop)) == (1, old) or (step == "prepare" and (outcome.code, live(shop)) == (0, new)), (
        outcome.stderr
    )
    assert outcome.code == 0 or f"interrupted by {number.name}" in outcome.stderr


@pytest.mark.parametrize("step", often(STEPS, OFTEN_KILLED))
def test_a_killed_deployer_leaves_every_host_whole(shop, step):
    """After kill -9 of the deployer, all hosts agree on one release by themselves, without losing a request."""
    with shop.load(), shop.rolling("deploy", good(shop)) as rolling:
        rolling.until(step)
        rolling.process.kill()
        shop.settled(90)
    checker.check(shop)


@pytest.mark.parametrize("step", often(STEPS[1:-1], OFTEN_KILLED))
def test_a_killed_agent_leaves_every_host_whole(shop, step):
    """After kill -9 of a host's agent, that host takes itself back, and the deployer takes the others back. At the last
    step the host may be done; then all are on the new release."""
    old, new = live(shop), good(shop)
    with shop.load(), shop.rolling("deploy", new) as rolling:
        name = rolling.until(step)["host"]
        shop.fleet.hosts[name].console("systemctl kill -s KILL shop-deploy", check=False)
        outcome = rolling.finish()
    shop.settled(90)
    found = checker.check(shop)
    assert (outcome.code, tags(found)) in ((1, {old}), (0, {new})), outcome.stderr


def test_a_power_cut_takes_back(shop):
    """A host that loses power with the new release boots into the old one; the others have gone back to it."""
    old, host = live(shop), shop.web[0]
    with settings(shop, bake=20), shop.rolling("deploy", good(shop)) as rolling:
        rolling.until("watch", host.name)
        host.power_cut()
        assert rolling.finish().code
    host.power_on()
    shop.settled()
    wait_until(lambda: f'"{old}"' in shop.inside(host.name, "/readyz")[1], 60, "it serves the old release")
    assert checker.tags(shop) == {old}
    succeed(shop)


LOG = "/var/www/shop/releases.log"


@contextlib.contextmanager
def all_but_one_prepared(shop, rolling, slow="web1"):
    """Block one host's prepare for the block, after all others have prepared: reading its log waits. A long watch gives
    time to set this up."""
    rolling.until("replace")
    host = shop.fleet.hosts[slow]
    host.run(f"mv {LOG} {LOG}.aside && mkfifo {LOG}")
    try:
        all_done(rolling, "prepare", {"web1", "web2", "work1"} - {slow})
        yield
    finally:
        host.run(f"mv {LOG} {LOG}.fifo && mv {LOG}.aside {LOG} && timeout 9 cp {LOG} {LOG}.fifo; rm {LOG}.fifo")


def all_done(rolling, step, names):
    """Wait until the step is done on all these hosts."""
    while names:
        names = names - {rolling.until(step, state="done")["host"]}


def test_hosts_that_promises_divide(shop):
    """A kill can leave two releases only while some hosts have promised and others have not. Each host is complete,
    status shows both releases and fails, and the next deploy repairs it."""
    old, new = live(shop), good(shop)
    with settings(shop, bake=10, dead_after=20), shop.load(), shop.rolling("deploy", new) as rolling:
        with all_but_one_prepared(shop, rolling):
            shop.fleet.hosts["web2"].run("systemctl kill -s STOP --kill-who=main shop-deploy")
        all_done(rolling, "promise", {"web1", "work1"})
        rolling.process.kill()
        shop.settled(90)
    found = checker.check(shop, divided=True)
    assert {name: tags({name: host}) for name, host in found.items()} == {"web1": {new}, "web2": {old}, "work1": {new}}
    done = shop.deploy("status")
    assert done.returncode == 1 and "on web2: " in done.stdout and old in done.stdout and new in done.stdout
    succeed(shop)


def test_a_host_whose_ssh_is_cut_before_its_promise(shop):
    """The host gets no promise and takes itself back. The deployer cannot know that and asks it; then all go back."""
    old, new = live(shop), good(shop)
    with settings(shop, bake=10), shop.rolling("deploy", new) as rolling:
        with contextlib.ExitStack() as cut:
            with all_but_one_prepared(shop, rolling):
                cut.enter_context(severed(1)(shop))
            rolling.until("promise", "web2", "failed")
        outcome = rolling.finish()
    assert outcome.code == 1 and "taken back: every host is as it was" in outcome.stderr, outcome.stderr
    assert live(shop) == old


def test_an_answer_that_is_lost_after_the_commit(shop):
    """If a host commits and its ssh fails before it answers, the deployer asks it again, and the deploy succeeds."""
    new, host = good(shop), shop.fleet.hosts["web2"]
    with settings(shop, bake=10), contextlib.ExitStack() as stack, shop.rolling("deploy", new) as rolling:
        rolling.until("flip", "web2", "done")
        stack.enter_context(slow([host], "systemd-run", 10))  # the host commits, then sets the old slot's timer
        rolling.until("commit", "web1", "done")
        wait_until(lambda: not host.ssh(f"grep -q {new} {LOG}").returncode, 20, "the host has committed")
        with severed(1)(shop):
            rolling.until("commit", "web2", "failed")
        outcome = rolling.finish()
    assert outcome.code == 0, outcome.stderr
    assert [event["host"] for event in outcome.events if "has committed, despite" in event.get("text", "")] == ["web2"]
    assert live(shop) == new


def test_of_two_deploys_at_the_same_moment_one_goes_on(shop):
    """Their locks cross: one deploy gets all hosts, and the other exits with 4 without any change."""
    tags = good(shop), good(shop)
    with shop.rolling("deploy", tags[0]) as first, shop.rolling("deploy", tags[1]) as second:
        codes = {tag: rolling.finish().code for tag, rolling in zip(tags, (first, second), strict=True)}
    assert sorted(codes.values()) == [0, 4]
    assert codes[live(shop)] == 0
