"""Shared by the scenarios of deploys: an app with a live release on the fleet, and faults that disturb a deploy."""

import contextlib
import itertools
from dataclasses import dataclass, field

import pytest

from e2e import checker
from e2e.fleet.report import Result
from e2e.rollouts import Shop
from proc import wait_until

MARK = "/etc/scenarios"  # on a host that `provisioned` prepared
NUMBERS = itertools.count(1)


def provisioned(fleet, folder):
    """Return the Shop on three hosts with a live release. Hosts that an earlier module prepared are used again."""
    shop = Shop(fleet, folder)
    hosts = shop.machines().values()
    bare = any(host.ssh(f"test -e {MARK}").returncode for host in hosts)
    if bare:
        fleet.reset()
    shop.provision()
    if bare:
        shop.stage()
    for host in hosts:
        host.run(f"touch {MARK}")
    succeed(shop)
    return shop


def succeed(shop, *options):
    """Deploy a good new release, and check that all is well on all hosts. Return its tag."""
    tag = good(shop)
    shop.good("deploy", tag, "--no-bake", *options)
    assert live(shop) == tag
    return tag


def good(shop):
    """Return a new tag, of a release without a fault."""
    return shop.image(f"good-{next(NUMBERS)}")


def live(shop):
    """Return the tag that is live on all hosts. Raise AssertionError with all violations of the invariants."""
    found = checker.check(shop)
    return checker.release(next(iter(found.values()))["tag"])["TAG"]


def part(result, began, ended=float("inf")):
    """Return the Result of the requests sent from `began` until `ended`, in time.time()."""
    return Result([record for record in result.records if began <= result.began + record.started < ended], result.began)


@contextlib.contextmanager
def settings(shop, **values):
    """Set these values of [rollout] for the block."""
    before = dict(shop.settings)
    shop.settings.update({f"rollout.{name}": value for name, value in values.items()})
    try:
        yield
    finally:
        shop.settings = before


def often(cases, chosen):
    """Return the cases, with those that are not chosen marked as rare."""
    return [
        case if case in chosen else pytest.param(*([case] if isinstance(case, str) else case), marks=pytest.mark.rare)
        for case in cases
    ]


# ---- faults that disturb a deploy: context managers of a Shop ----


@contextlib.contextmanager
def unreachable(shop, name="web2"):
    """Stop ssh on a host for the block. It still answers visitors."""
    host = shop.fleet.hosts[name]
    host.console("systemctl stop ssh")
    try:
        yield
    finally:
        host.console("systemctl start ssh")
        wait_until(lambda: host.ssh("true").returncode == 0, 60, f"{host.name} answers again")


@contextlib.contextmanager
def cut_off(host):
    """Drop a host's ssh packets, not its visitors', for the block."""
    rules = ("INPUT -p tcp --dport 22 -j DROP", "OUTPUT -p tcp --sport 22 -j DROP")
    host.console(" && ".join(f"iptables -w -I {rule}" for rule in rules))
    try:
        yield
    finally:
        host.console(" && ".join(f"iptables -w -D {rule}" for rule in rules))


def severed(number):
    """Return a context manager that cuts a web host off, and ends once the host has given up its lock."""

    @contextlib.contextmanager
    def sever(shop):
        host = shop.web[number]
        with cut_off(host):
            yield
            wait_until(
                lambda: host.console("systemctl is-active shop-deploy", check=False).returncode,
                60,
                f"{host.name} is free by itself",
            )

    return sever


@contextlib.contextmanager
def crammed(shop):
    """Use up the inodes of /run on all web hosts, so that no file can be created there."""
    for host in shop.web:
        host.console(
            "mount -o remount,nr_inodes=$(($(df --output=iused /run | tail -n 1) + 20)) /run"
            " && mkdir /run/crammed && while touch /run/crammed/$((number += 1)); do :; done 2>/dev/null"
        )
    try:
        yield
    finally:
        for host in shop.web:
            host.console("rm -r /run/crammed; mount -o remount,nr_inodes=100000 /run")


@contextlib.contextmanager
def slow(hosts, command, seconds):
    """Delay each call of the command on these hosts by so many seconds."""
    for host in hosts:
        host.run(
            f"cp /usr/bin/{command} /root/{command}.real && chmod 755 /root/{command}.real"
            f" && printf '#!/bin/sh\\nsleep {seconds}\\nexec /root/{command}.real \"$@\"\\n' >/root/{command}"
            f" && chmod 755 /root/{command} && mount --bind /root/{command} /usr/bin/{command}"
        )
    try:
        yield
    finally:
        for host in hosts:
            host.console(f"umount /usr/bin/{command}")


# ---- a deploy that fails ----


@dataclass(frozen=True)
class Bad:
    """The cause of a failed deploy, and its report.

    `messages`: texts of the report; `fault`: of the image; `harm`: a fault of the hosts, from the beginning or `at`
    an event, (step, host, state); `limits`: of [rollout]; `seen`: visitors may have met the release.
    """

    messages: tuple
    code: int = 1
    fault: str = ""
    harm: object = None
    at: tuple = ()
    limits: dict = field(default_factory=dict)
    seen: bool = False


def fail(shop, bad, tag):
    """Deploy the release with its faults, and wait until no host is locked. Return the outcome."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(settings(shop, **bad.limits))
        if bad.harm and not bad.at:
            stack.enter_context(bad.harm(shop))
        rolling = stack.enter_context(shop.rolling("deploy", tag))
        if bad.at:
            rolling.until(*bad.at)
            stack.enter_context(bad.harm(shop))
        outcome = rolling.finish()
    shop.settled()
    return outcome
