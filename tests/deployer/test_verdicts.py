"""Migrations and releases: the agent's verdicts on a simulated host, and the deployer's decisions on them."""

import os
import threading
from types import SimpleNamespace

import pytest

from deployer.noted import ERROR, MADE, OK, USED, build, less, older
from deployer.simulated import Simulated
from slipway.deploy.agent import disk, images, releases, slots
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.steps.verdicts import verdicts
from slipway.deploy.errors import Refused
from slipway.deploy.rollout import migrations
from slipway.deploy.ssh import validate

POSTGRES, SQLITE = "DATABASE_URL=postgres://shop:secret@db.example/shop\n", "DATABASE_URL=sqlite:////data/db\n"
DIED = Problem("web exited right after its start")


class Host(Simulated):
    """`images`: image id → migrations.json; `plans`: slot → the list of migrations, or None if that fails."""

    images, plans = {}, {}

    def call(self, *words, **options):
        if words[0] == "docker-runner":
            said = self.plans[words[2]]
            return SimpleNamespace(returncode=0 if said is not None else 1, stdout=said or "", stderr="no such module")
        return super().call(*words, **options)


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """judge(the new release's migrations.json, its list of migrations, …): the answer of `verdicts`."""
    host = Host(tmp_path / "root")
    monkeypatch.setattr(images, "read_file", lambda host, image, path: ask.read.append(image) or host.images[image])
    disk.touch(host.slot("b", "web.sock"))

    def ask(
        coming,
        plan,
        live=None,
        live_plan=None,
        settings=POSTGRES,
        action="deploy",
        before=None,
        old=None,
        died=None,
        told=None,
        after=None,
    ):
        host.images = {"sha256:2": coming, "sha256:1": live}
        host.plans = {"a": live_plan, "b": plan}
        slots.pin(host, "a", {"tag": "v1", "image_id": "sha256:1"}, old or settings)
        slots.pin(host, "b", {"tag": "v2", "image_id": "sha256:2"}, settings)
        for path, text in (
            (host.slot_file("a", "plan"), before),
            (host.slot_file("b", "plan"), after),
            (host.slot("b", "web.plan"), told),
        ):
            if text:
                disk.write(path, text)
        attempt = Attempt(host, id="1", action=action, slot="b", live="a", image_id="sha256:2", tag="v2", one_offs=[])
        attempt.died = died
        return verdicts(host, attempt, ask.events.append)

    ask.host, ask.events, ask.read = host, [], []
    return ask


def refusal(answer, action="deploy", allowed=False, urgent=False, warned=None):
    """Return the refusal, or "" if the deploy goes on; `warned` then gets its warnings."""
    assert not validate.mismatch(answer, validate.ANSWERS["verdicts"])
    try:
        said = migrations.check({("start", "web1"): {}, ("verdicts", "web1"): answer}, action, allowed, urgent)
        if warned is not None:
            warned.extend(said)
    except Refused as error:
        return str(error)
    return ""


PLAN = "[X]  shop.0001_initial\n[ ]  shop.0002_note\n"
APPLIED, FIRST = PLAN.replace("[ ]", "[X]"), "[X]  shop.0001_initial\n"
NEW = "[X]  shop.0001_initial\n[ ]  lock.0001_initial\n[ ]  lock.0002_less\n"
LIVE = NEW.replace("[ ]", "[X]")
LACKS = build(postgresql={"shop.0001_initial": ERROR, "shop.0002_note": ERROR})
KEPT = build(postgresql={"shop.0001_initial": ERROR, "shop.0002_note": OK})
NOTE, LESS = "  shop.0002_note: column shop_item.note is gone", "lock.0002_less: column lock_lock.note is gone"
OLD = older(shop__0001_initial="error", shop__0002_note="error")
OLD_NOTE, NO_JUDGE = "  shop.0002_note: it drops a column", "no verdicts for postgresql"
BACK, OLDER = {"plan": FIRST, "coming": None, "action": "rollback"}, {"plan": FIRST, "coming": None}
# A new app makes a table, and drops a column of it; `OURS` also with other models, which do not use it.
LOCK = {"shop.0001_initial": OK, "lock.0001_initial": MADE, "lock.0002_less": less("lock_lock")}
OURS = build(postgresql=LOCK)
NOTHING, OTHERS = build({}, postgresql={}), build({"shop_item": {"name": {}}, "lock_lock": {}}, postgresql={})
ALL = build(postgresql={})
FAILED = build({}, postgresql={"shop.0002_note": {**OK, "failed": "the build could not judge it"}})
CASES = [  # verdicts of builds, migrations of releases → the refusal without --allow-incompatible; "" if it goes on
    ({"coming": build(postgresql={"shop.0002_note": OK}, sqlite={}), "plan": PLAN}, ""),
    (OLDER, ""),
    ({"coming": LACKS, "plan": PLAN}, NOTE),
    # an entry counts only for its database
    ({"coming": build(postgresql={"shop.0002_note": OK}, sqlite={"shop.0002_note": ERROR}), "plan": PLAN}, ""),
    (
        {
            "coming": build(postgresql={"shop.0002_note": OK}, sqlite={"shop.0002_note": ERROR}),
            "plan": PLAN,
            "settings": SQLITE,
        },
        NOTE,
    ),
    # what the live release uses counts, whatever the new one uses and whatever is pending
    *(
        ({"coming": build(uses, postgresql={"shop.0002_note": ERROR}), "plan": PLAN, "live": ALL}, NOTE)
        for uses in (USED, {})
    ),
    *(({"coming": LACKS, "plan": PLAN, "live": live}, "") for live in (NOTHING, OTHERS)),
    ({"coming": OURS, "plan": NEW, "live": ALL}, LESS),
    ({"coming": OURS, "plan": NEW.replace("[ ]  lock.0001", "[X]  lock.0001"), "live": OTHERS}, ""),
    ({"coming": FAILED, "plan": PLAN, "live": NOTHING}, "  shop.0002_note: the build could not judge it"),
    # if that is unknown, what a release used that lacks all that is pending
    *(
        ({"coming": coming, "plan": plan, "live": live}, said)
        for live in (None, older(), "no JSON", build({}, sqlite={}))
        for coming, plan, said in (
            (LACKS, PLAN, NOTE),
            (OURS, NEW, ""),
            (OURS, NEW.replace("[ ]  lock.0001", "[X]  lock.0001"), LESS),
            (build(postgresql={**LOCK, "lock.0001_initial": OK}), NEW, LESS),
        )
    ),
    # an older build noted verdicts, whatever the other release uses
    ({"coming": OLD, "plan": PLAN, "live": NOTHING}, OLD_NOTE),
    ({"coming": older(shop__0002_note="warning"), "plan": PLAN, "live": ALL}, ""),
    # a rollback is judged by the migrations that only the live release has, and what the older one uses
    *(({**BACK, "coming": coming, "live": LACKS, "live_plan": APPLIED}, NOTE) for coming in (None, ALL, older())),
    *(({**BACK, "coming": coming, "live": LACKS, "live_plan": APPLIED}, "") for coming in (NOTHING, OTHERS)),
    ({**BACK, "live": LACKS}, NOTE),
    ({**BACK, "live": OURS, "live_plan": LIVE}, ""),
    ({**BACK, "coming": ALL, "live": OURS, "live_plan": LIVE}, LESS),
    ({**BACK, "plan": None, "live": OURS, "live_plan": LIVE}, LESS),
    ({**BACK, "plan": None, "coming": NOTHING, "live": OURS, "live_plan": LIVE}, ""),
    ({**BACK, "plan": NEW.replace("[ ]  lock.0002_less\n", ""), "live": OURS, "live_plan": LIVE}, LESS),
    ({**BACK, "coming": NOTHING, "live": OLD, "live_plan": APPLIED}, OLD_NOTE),
    (
        {**BACK, "live": build(postgresql={"shop.0001_initial": ERROR}), "live_plan": APPLIED},
        "not in INSTALLED_APPS during the build",
    ),
    ({**BACK, "live": build(sqlite={"shop.0002_note": OK})}, NO_JUDGE),
    ({**BACK, "live": None, "live_plan": APPLIED}, NO_JUDGE),
    ({**BACK, "live": KEPT, "live_plan": APPLIED}, ""),
    ({"coming": LACKS, "plan": None, "live": LACKS, "live_plan": APPLIED, "action": "rollback"}, ""),
    # a deploy of an older release is judged alike; squashed migrations that the live release does not list do not count
    ({**OLDER, "live": LACKS, "before": APPLIED}, NOTE),
    *(({**OLDER, "coming": coming, "live": LACKS, "before": APPLIED}, "") for coming in (NOTHING, OTHERS)),
    ({**OLDER, "coming": ALL, "live": LACKS, "before": APPLIED}, NOTE),
    ({**OLDER, "live": OLD, "before": APPLIED}, OLD_NOTE),
    ({**OLDER, "live": LACKS, "live_plan": APPLIED}, NOTE),
    ({**OLDER, "live": LACKS}, NOTE),
    ({**OLDER, "before": APPLIED}, NO_JUDGE),
    ({**OLDER, "live": "no JSON", "before": APPLIED}, NO_JUDGE),
    ({**OLDER, "live": LACKS, "before": FIRST}, ""),
    ({**OLDER, "live": LACKS, "live_plan": FIRST}, ""),
    ({**OLDER, "live": KEPT, "before": APPLIED}, ""),
    # a release that drops an app: nobody uses the app's tables any more
    ({**OLDER, "live": OURS, "before": LIVE}, ""),
    ({**OLDER, "live": build(postgresql={**LOCK, "lock.0001_initial": OK}), "before": LIVE}, LESS),
]


@pytest.mark.parametrize("given, reported", CASES)
def test_what_migrations_do_to_a_deploy(judge, given, reported):
    answer, action, warned = judge(**given), given.get("action", "deploy"), []
    text = refusal(answer, action)
    assert reported in text and bool(reported) == bool(text) and "shop.0001" not in text, text
    assert not reported or "--allow-incompatible" in text
    assert not refusal(answer, action, allowed=True, warned=warned)
    assert bool({*warned} - {migrations.UNCOMPARED}) == bool(reported)


@pytest.mark.parametrize(
    "coming, settings, cure",
    [
        (build(postgresql={"shop.0001_initial": OK}), POSTGRES, "add it there, then run make build"),
        (None, POSTGRES, "no verdicts for postgresql: build it"),
        (build(postgresql={"shop.0002_note": OK}), SQLITE, "no verdicts for sqlite"),
        (build(postgresql={"shop.0002_note": OK}), "DATABASE_URL=mysql://db.example/shop\n", "for mysql, but"),
        (build(postgresql={"shop.0002_note": OK}), "SECRET_KEY=1\n", "have no DATABASE_URL"),
        (
            '{"version": 3, "failed": {"postgresql": "no postgis"}}',
            POSTGRES,
            "could not apply them to postgresql: no postgis",
        ),
    ],
)
def test_what_nobody_judged_is_refused_whatever_is_allowed(judge, coming, settings, cure):
    answer = judge(coming, PLAN, settings=settings)
    assert answer["unjudged"] == ["shop.0002_note"]
    for allowed in (False, True):
        text = refusal(answer, allowed=allowed)
        assert "\n  shop.0002_note" in text and cure in text and "0001" not in text, text


def test_a_release_that_tells_its_migrations_is_not_asked(judge):
    answer = judge(build(postgresql={"shop.0002_note": ERROR}), None, told="release v2\n" + PLAN)
    assert NOTE in refusal(answer) and "applied" not in answer


@pytest.mark.parametrize(
    "outcome, reported, has_web, applied",
    [
        ("committed", "release v2\n" + APPLIED, True, True),
        ("failed", "release v2\n" + APPLIED, True, False),
        ("committed", "unknown\n", True, False),
        ("committed", "release v2\n" + APPLIED, False, False),
    ],
)
def test_where_migrate_may_be_left_out(judge, outcome, reported, has_web, applied):
    record = {"id": "0", "action": "deploy", "tag": "v0", "image_id": "sha256:0", "outcome": outcome, "at": 1}
    disk.write(judge.host.log, releases.append_record("", record))
    if not has_web:
        os.remove(judge.host.root + "/etc/systemd/system/shop-web@.service")
    answer = judge("no JSON", APPLIED, told=reported)
    warned = []
    assert answer["applied"] is applied and not refusal(answer, warned=warned)
    assert (migrations.UNCOMPARED in warned) is not (has_web and reported != "unknown\n")
    assert disk.read(judge.host.slot_file("b", "plan")) == APPLIED


def test_the_live_releases_image_is_read_once(judge):
    judge(build(postgresql={"lock.0001_initial": OK}), NEW, live=KEPT, before=APPLIED)
    assert judge.read.count("sha256:1") == 1


def test_a_web_that_ends_may_need_a_pending_migration(judge):
    assert "applied" not in judge(None, PLAN, died=DIED) and not judge.events
    for plan in (APPLIED, None):  # nothing is pending, or the release cannot tell
        with pytest.raises(Problem, match="web exited"):
            judge(None, plan, died=DIED)
    assert {(event["event"], event["step"]) for event in judge.events} == {("sick", "start")}


@pytest.mark.parametrize("pending", [True, False])
def test_what_the_new_release_misses_in_the_database(judge, pending):
    """Somebody changed it by hand: it is refused, whatever its migrations do, unless that is allowed."""
    texts = ["column shop_item.name is missing", "table shop_line is missing"]
    told = "release v2\nmedia local\n" + "".join(f"lacks {text}\n" for text in texts) + (PLAN if pending else APPLIED)
    answer, warned = judge(build(postgresql={"shop.0002_note": OK}), None, told=told), []
    assert answer["lacking"] == texts and ("applied" in answer) is not pending
    assert refusal(answer).splitlines()[1:] == [f"  {text}" for text in texts] and "by hand" in refusal(answer)
    assert not refusal(answer, allowed=True, warned=warned)
    assert len(warned) == 1 and all(text in warned[0] for text in texts)


def test_what_a_release_may_notice_is_told(judge):
    """A change that no rule knows, if the release uses the table, and what did not run in the build."""
    changes = [{"what": "other", "table": table, "text": "trigger t: new"} for table in ("shop_item", "nobodys")]
    entry = {**OK, "changes": changes, "warnings": ["it stays locked"], "unjudged": "a router keeps it away"}
    coming = build(postgresql={"shop.0002_note": entry})
    for given, action in (
        ({"coming": coming, "plan": PLAN, "live": ALL}, "deploy"),
        ({**BACK, "coming": ALL, "live": coming, "live_plan": APPLIED}, "rollback"),
        ({**OLDER, "coming": ALL, "live": coming, "before": APPLIED}, "deploy"),
    ):
        warned = []
        assert not refusal(judge(**given), action, warned=warned)
        said = "shop.0002_note: shop_item: trigger t: new; it stays locked; a router keeps it away"
        assert [text for text in warned if text != migrations.UNCOMPARED] == [said]


@pytest.mark.parametrize("live_plan, asks", [(FIRST, False), (APPLIED, True)])
def test_a_rollback_between_two_that_were_judged(judge, live_plan, asks):
    judge(build(postgresql={}), FIRST)
    assert disk.read(judge.host.slot_file("b", "plan")) == FIRST
    answer = judge(None, None, LACKS, None, action="rollback", before=live_plan, after=FIRST)
    assert bool(refusal(answer, "rollback")) is asks


@pytest.mark.parametrize("breaks", [Problem("Docker does not answer"), OSError(5, "Input/output error"), None])
def test_a_rollback_that_cannot_be_judged_is_not_held_up(judge, monkeypatch, breaks):
    hung, warned = threading.Event(), []

    def content(*words):
        if breaks:
            raise breaks
        hung.wait(60)

    monkeypatch.setattr(images, "read_file", content)
    monkeypatch.setattr("slipway.deploy.agent.steps.verdicts.JUDGING", 20 if breaks else 0.1)
    answer = judge(None, FIRST, action="rollback")
    hung.set()
    assert not refusal(answer, "rollback", urgent=True, warned=warned)
    assert len(warned) == 1 and str(breaks or "within") in warned[0]
    assert str(breaks or "within") in refusal(answer, "rollback") and not refusal(answer, "rollback", allowed=True)


@pytest.mark.parametrize("live, why", [(LACKS, ": column shop_item.note is gone"), (None, "")])
def test_a_rollback_that_is_urgent_is_refused_by_name_alone(judge, live, why):
    answer, warned = judge(None, FIRST, live, APPLIED, action="rollback"), []
    assert "shop.0002_note" + why in refusal(answer, "rollback")
    assert bool(refusal(answer, "rollback", urgent=True)) == bool(live)
    assert not refusal(answer, "rollback", allowed=bool(live), urgent=True, warned=warned)
    assert ["shop.0002_note" + why in text for text in warned] == [True]
