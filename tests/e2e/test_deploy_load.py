"""Tests of deploys, rollbacks and restarts on the fleet under 100 requests/s, to both web hosts and the balancer."""

import contextlib
import signal
import time
from types import SimpleNamespace

import pytest

from e2e import checker
from e2e.scenarios import good, part, settings
from proc import wait_until

LEAST = 5000  # requests
# For each chapter: the command with the numbers of releases, the live release before and after, and REVERT's.
STORY = {
    "deploy": ("deploy 2", 1, 2, 1),
    "deploy of what is live": ("deploy 2", 2, 2, 1),
    "another deploy": ("deploy 3", 2, 3, 2),
    "rollback": ("rollback", 3, 2, 1),
    "rollback further": ("rollback", 2, 1, None),
}


@pytest.fixture(scope="module")
def story(shop):
    """Run all of STORY under one load. Return ({name: outcome, live release before and after, visitors' requests, and
    the hosts as checker.check returns them}, the load's Result)."""
    tags = {number: good(shop) for number in (1, 2, 3)}
    shop.good("deploy", tags[1], "--no-bake")
    with shop.load(may_fail=True, rate=100, seconds=800) as load:
        began = time.time()
        told = {name: tell(shop, tags, *STORY[name]) for name in STORY}
        time.sleep(max(0, began + LEAST / 100 + 2 - time.time()))  # so many requests, even if all was quick
    ends = [*[chapter.began for chapter in told.values()][1:], float("inf")]
    for chapter, ended in zip(told.values(), ends, strict=True):
        chapter.seen = part(load.result, chapter.began, ended)
    return told, load.result


def tell(shop, tags, words, before, after, revert):
    words, began = words.split(), time.time()
    outcome = shop.good(*words[:1], *(tags[int(number)] for number in words[1:]))
    return SimpleNamespace(
        outcome=outcome,
        before=tags[before],
        after=tags[after],
        revert=tags.get(revert),
        hosts=checker.check(shop),
        began=began,
    )


def test_no_request_fails(story):
    """None of at least 5,000 requests fails, to both hosts and through the balancer, a third of them POSTs."""
    _, result = story
    assert len(result.records) >= LEAST and not result.failures, result.summary()
    assert len({record.target for record in result.records}) == 3


@pytest.mark.parametrize("name", STORY)
def test_a_host_changes_over_once(shop, story, name):
    """No host's old release answers a request sent after the new one's first answer. TAG names the live release and
    REVERT the one before, one release further back at each rollback. A deploy of the live release changes neither."""
    chapter = story[0][name]
    for host in shop.web:
        seen = chapter.seen.of(host.url)
        assert set(seen.releases) == {chapter.before, chapter.after}, seen.summary()
        assert chapter.before == chapter.after or not seen.late(chapter.before, chapter.after)
    for host in chapter.hosts.values():
        assert checker.release(host["tag"])["TAG"] == chapter.after
        revert = (checker.release(host["revert"]) or {}).get("TAG")
        assert revert == chapter.revert or (chapter.revert is None and revert not in (chapter.before, chapter.after))
    before = story[0]["deploy"].hosts
    if name == "deploy of what is live":
        assert not [host for host, found in chapter.hosts.items() if found["web_sock"] == before[host]["web_sock"]]


@contextlib.contextmanager
def saturated(shop, bake):
    """Deploy under more visitors than the app can answer, who come after the first step has begun."""
    old, new = (shop.image(f"single-{number}", "single") for number in (1, 2))
    shop.good("deploy", old, "--no-bake")
    with settings(shop, bake=bake), shop.rolling("deploy", new) as rolling:
        rolling.until("pull")
        with shop.load(rate=100, post_path="/?ms=90", timeout=60) as load:
            yield rolling, load, old, new


def test_requests_that_queue_are_answered(shop):
    """Requests that wait in the old socket's backlog at the flip are answered, and the old release gets none sent after
    it. If the deployer's own questions wait too, in the end beyond their timeout, that is no failure."""
    with saturated(shop, bake=12) as (rolling, load, old, new):
        outcome = rolling.finish()
    assert outcome.code == 0, outcome.stderr
    checker.check(shop)
    for host in shop.web:
        seen = load.result.of(host.url)
        waited = [record for record in seen.records if record.release == old and record.ended > seen.first(new)]
        assert waited and not seen.late(old, new), seen.summary()


def test_requests_that_queue_are_answered_by_what_is_taken_back(shop):
    """A release that is taken back stops only when its socket's backlog is empty."""
    with saturated(shop, bake=60) as (rolling, load, old, new):
        rolling.until("replace")
        for host in shop.web:
            wait_until(lambda host=host: queue(host) > 20, 60, f"requests queue on {host.name}")
        rolling.process.send_signal(signal.SIGINT)
        outcome = rolling.finish()
    assert outcome.code == 1 and "interrupted by SIGINT" in outcome.stderr, outcome.stderr
    assert checker.tags(shop) == {old}
    checker.check(shop)
    assert new in load.result.releases, load.result.summary()


def queue(host):
    """Return the number of requests that a host's live slot has, in progress or waiting."""
    return int(host.run('grep -c "/run/shop/$(readlink /run/shop/web.sock)$" /proc/net/unix'))
