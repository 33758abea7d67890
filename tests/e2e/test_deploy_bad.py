"""Tests of failed deploys on the fleet under load: the old release serves everywhere, and the next one succeeds."""

import time

import pytest

from e2e.scenarios import Bad, crammed, fail, live, often, part, settings, severed, slow, succeed

BACK = "taken back: the old release serves everywhere"
SOON = {"ready": 6}

BAD = {
    "crashes at start": Bad((": start: ", " exited right after its start", "| told to crash", BACK), fault="crash"),
    "answers 500": Bad(("ready: /readyz answers 500 for 3 s", "it answered: {", BACK), fault="error", limits=SOON),
    "worker is never ready": Bad(
        ("work1: ready: the worker is not consuming after 6 s", " waits for work", BACK), fault="idle", limits=SOON
    ),
    "worker ends again and again": Bad(
        ("work1: ", " exited", "waits for work", BACK),  # before the flip or after it
        fault="fleeting",
        seen=True,
    ),
    "beat ends and no file can be made": Bad(
        ("work1: watch: shop-beat has exited, and ", BACK),
        fault="faint",
        limits={"bake": 20},
        harm=crammed,
        at=("replace", "work1", "done"),
        seen=True,
    ),
    "failing migration": Bad(
        ("web1: migrate: migrate failed: exit 1", "| django.db.utils.ProgrammingError", BACK), fault="migration"
    ),
    "disk full later": Bad(
        ("web2: prepare: ", "No space left on device", BACK),
        at=("pull", "web2", "done"),
        seen=True,
        limits={"bake": 6},
        harm=lambda shop: shop.web[1].full("/var/www/shop"),
    ),
    "cut off after its flip": Bad(
        ("web1: ", "silent for 6 s", "taken back, but web1 can't be reached"),
        code=3,
        limits={"bake": 20},
        harm=severed(0),
        at=("watch", "web1", "start"),
        seen=True,
    ),
    "cut off from publish to flip": Bad(
        ("taken back, but web1 can't be reached: each goes back by itself within 6 s",),
        code=3,
        limits={"bake": 20},
        harm=severed(0),
        at=("publish",),
        seen=True,
    ),
}

# Beat ends, too, a cut comes after the flip, too, and fast tests cover both in detail.
OFTEN = BAD.keys() - {"worker ends again and again", "cut off from publish to flip"}


@pytest.mark.parametrize("name", often(BAD, OFTEN))
def test_what_goes_wrong_is_taken_back(shop, name):
    """No request fails, the old release serves everywhere, and the report shows the cause. If hosts were harmed, a good
    release succeeds afterwards."""
    bad, old = BAD[name], live(shop)
    tag = shop.image(f"bad-{name.replace(' ', '-')}", bad.fault)
    with shop.load(rate=40) as load:
        outcome = fail(shop, bad, tag)
        assert outcome.code == bad.code, outcome.stderr
        assert not [text for text in bad.messages if text not in outcome.stderr], outcome.stderr
        assert live(shop) == old
        until = time.time()
        assert not [host.name for host in shop.web if host.run("ls -A /var/www/shop/static")], "nothing of it landed"
        if bad.harm:
            succeed(shop)
    assert set(part(load.result, 0, until).releases) <= {old, tag if bad.seen else old}, load.result.summary()


def test_errors_that_only_visitors_meet_are_taken_back(shop):
    """Visitors get only this release's 5xx, none more than 5 s after the deploy fails or after the 20th, even if the
    journal is slow. No connection is dropped."""
    old, tag = live(shop), shop.image("bad-weary", "weary")
    with settings(shop, bake=20), shop.load(may_fail=True, rate=100) as load:
        with slow(shop.web, "journalctl", 25):
            outcome = shop.roll("deploy", tag)
        succeed(shop)
    result = load.result
    assert outcome.code == 1 and "answers to visitors" in outcome.stderr and BACK in outcome.stderr, outcome.stderr
    assert result.causes.keys() == {"http 500"}, result.summary()
    assert {record.release for record in result.failures} == {tag}
    bad = sorted(record.ended for record in result.failures)
    late = bad[-1] - bad[:20][-1]
    assert late <= 5 and "did not end within 5 s" in outcome.stderr, (bad, outcome.stderr)
    gate = min(event["at"] for event in outcome.events if event["event"] == "sick" or event.get("state") == "failed")
    assert max(record.ended for record in result.failures) <= gate - result.began + 5
    assert old in result.releases
