"""Migrations and releases: the agent's verdicts on a simulated host, and the deployer's decisions on them."""

import json
import os
import threading
from types import SimpleNamespace

import pytest

from deployer.simulated import Simulated
from slipway.deploy.agent import disk, images, releases, slots
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.steps.verdicts import parse, verdicts
from slipway.deploy.errors import Refused
from slipway.deploy.rollout import migrations
from slipway.deploy.ssh import validate

POSTGRES, SQLITE = "DATABASE_URL=postgres://shop:secret@db.example/shop\n", "DATABASE_URL=sqlite:////data/db\n"
OK, ERROR = {"verdict": "ok", "messages": []}, {"verdict": "error", "messages": ["it drops a column"]}
DIED = Problem("web exited right after its start")


def build(**vendors):
    """Return the migrations.json of a build: vendor → migration → verdict."""
    return json.dumps({"version": 2, "vendors": vendors})


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
    monkeypatch.setattr(images, "read_file", lambda host, image, path: host.images[image])
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

    ask.host, ask.events = host, []
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
NOTE, LESS = "  shop.0002_note: it drops a column", "lock.0002_less: it drops a column"


def since(*makers):
    """Return verdicts on a new app: its second migration is an error, on tables that these migrations have made."""
    return build(
        postgresql={"shop.0001_initial": OK, "lock.0001_initial": OK, "lock.0002_less": {**ERROR, "since": [*makers]}}
    )


OURS, NO_JUDGE = since("lock.0001_initial"), "no verdicts for postgresql"
BACK, OLDER = {"plan": FIRST, "coming": None, "action": "rollback"}, {"plan": FIRST, "coming": None}
UNUSED = build(
    postgresql={
        "shop.0001_initial": OK,
        "shop.0001_less": OK,
        "lock.0001_initial": OK,
        "lock.0002_less": {**ERROR, "unused": ["lock.0001_initial"]},
    }
)
MAKERS = (
    (),
    ("shop.0001_initial",),
    ("lock.0001_initial", "shop.0001_initial"),
    ("lock.0001_initial", "gone.0001_initial"),
)
CASES = [  # verdicts of builds, migrations of releases → the refusal without --allow-incompatible; "" if it goes on
    ({"coming": build(postgresql={"shop.0002_note": OK}, sqlite={}), "plan": PLAN}, ""),
    (OLDER, ""),
    ({"coming": LACKS, "plan": PLAN}, NOTE),
    # a verdict counts only for its database
    ({"coming": build(postgresql={"shop.0002_note": OK}, sqlite={"shop.0002_note": ERROR}), "plan": PLAN}, ""),
    (
        {
            "coming": build(postgresql={"shop.0002_note": OK}, sqlite={"shop.0002_note": ERROR}),
            "plan": PLAN,
            "settings": "DATABASE_URL=sqlite:////data/db\n",
        },
        NOTE,
    ),
    # an error counts unless all migrations that make its tables are still pending
    ({"coming": OURS, "plan": NEW}, ""),
    *(({"coming": since(*makers), "plan": NEW}, LESS) for makers in MAKERS),
    ({"coming": OURS, "plan": NEW.replace("[ ]  lock.0001", "[X]  lock.0001")}, LESS),
    # what no model has since an earlier migration may be dropped if the live release, or the older one, has it
    ({"coming": UNUSED, "plan": NEW}, LESS),
    ({**BACK, "live": UNUSED, "live_plan": LIVE}, LESS),
    *(
        ({"coming": UNUSED, "plan": NEW.replace("[ ]  lock.0001", "[X]  lock.0001"), **live}, said)
        for live, said in (
            ({"before": "[X]  lock.0001_initial\n"}, ""),
            ({"live": build(postgresql={"lock.0001_initial": OK})}, ""),
            ({"before": "[X]  shop.0001_initial\n", "live": UNUSED}, LESS),
            ({}, LESS),
        )
    ),  # it may be there of a takeback
    ({**BACK, "plan": None, "live": UNUSED, "live_plan": LIVE}, LESS),
    ({**BACK, "plan": NEW.replace("[ ]  lock.0002_less\n", ""), "live": UNUSED, "live_plan": LIVE}, ""),
    # in a rollback, an error counts unless the older release has a list without the migrations that made the tables
    ({**BACK, "coming": build(postgresql={}), "live": OURS, "live_plan": LIVE}, ""),
    *(({**BACK, "live": since(*makers), "live_plan": LIVE}, LESS) for makers in MAKERS),
    ({**BACK, "live": OURS, "live_plan": LIVE}, ""),
    ({**BACK, "plan": NEW.replace("[ ]  lock.0002_less\n", ""), "live": OURS, "live_plan": LIVE}, LESS),
    ({**BACK, "plan": None, "live": OURS, "live_plan": LIVE}, LESS),
    (
        {**BACK, "plan": None, "coming": build(postgresql={"shop.0001_initial": OK}), "live": OURS, "live_plan": LIVE},
        LESS,
    ),
    # a rollback is judged by the migrations that only the live release has
    ({**BACK, "live": LACKS, "live_plan": APPLIED}, NOTE),
    ({**BACK, "live": LACKS}, NOTE),
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
    ({**OLDER, "live": LACKS, "live_plan": APPLIED}, NOTE),
    ({**OLDER, "live": LACKS}, NOTE),
    ({**OLDER, "before": APPLIED}, NO_JUDGE),
    ({**OLDER, "live": "no JSON", "before": APPLIED}, NO_JUDGE),
    ({**OLDER, "live": LACKS, "before": FIRST}, ""),
    ({**OLDER, "live": LACKS, "live_plan": FIRST}, ""),
    ({**OLDER, "live": KEPT, "before": APPLIED}, ""),
    # a release that drops an app: nobody uses the app's tables any more
    ({**OLDER, "live": OURS, "before": LIVE}, ""),
    ({**OLDER, "live": since("shop.0001_initial"), "before": LIVE}, LESS),
]


@pytest.mark.parametrize("given, reported", CASES)
def test_what_migrations_do_to_a_deploy(judge, given, reported):
    answer, action, warned = judge(**given), given.get("action", "deploy"), []
    text = refusal(answer, action)
    assert reported in text and bool(reported) == bool(text) and "shop.0001" not in text, text
    assert not reported or "--allow-incompatible" in text
    assert not refusal(answer, action, allowed=True, warned=warned) and bool(warned) == bool(reported)


@pytest.mark.parametrize(
    "coming, settings, cure",
    [
        (build(postgresql={"shop.0001_initial": OK}), POSTGRES, "add it there, then run make build"),
        (None, POSTGRES, "no verdicts for postgresql: build it"),
        (build(postgresql={"shop.0002_note": OK}), SQLITE, "no verdicts for sqlite"),
        (build(postgresql={"shop.0002_note": OK}), "DATABASE_URL=mysql://db.example/shop\n", "for mysql, but"),
        (build(postgresql={"shop.0002_note": OK}), "SECRET_KEY=1\n", "have no DATABASE_URL"),
        (
            json.dumps({"version": 2, "vendors": {"sqlite": {}}, "failed": {"postgresql": "no postgis"}}),
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
    assert "shop.0002_note: it drops a column" in refusal(answer) and "applied" not in answer


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
    assert answer["applied"] is applied and not refusal(answer)
    assert disk.read(judge.host.slot_file("b", "plan")) == APPLIED


def test_a_web_that_ends_may_need_a_pending_migration(judge):
    assert "applied" not in judge(None, PLAN, died=DIED) and not judge.events
    for plan in (APPLIED, None):  # nothing is pending, or the release cannot tell
        with pytest.raises(Problem, match="web exited"):
            judge(None, plan, died=DIED)
    assert {(event["event"], event["step"]) for event in judge.events} == {("sick", "start")}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        pytest.param("[" * 100_000, id="deep"),
        '{"vendors": 3}',
        "1",
        '{"version": 3}',
        '{"vendors": {"postgresql": {"shop.0001_initial": 1}}}',
        since(3).replace("[3]", "3"),
        since([]),
        UNUSED.replace('["lock', '[["lock').replace('initial"]', 'initial"]]'),
    ],
)
def test_a_malformed_answer_of_the_build_is_a_problem(text):
    with pytest.raises(Problem, match=r"migrations.json in the image"):
        parse(text)


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


@pytest.mark.parametrize("live, why", [(LACKS, ": it drops a column"), (None, "")])
def test_a_rollback_that_is_urgent_is_refused_by_name_alone(judge, live, why):
    answer, warned = judge(None, FIRST, live, APPLIED, action="rollback"), []
    assert "shop.0002_note" + why in refusal(answer, "rollback")
    assert bool(refusal(answer, "rollback", urgent=True)) == bool(live)
    assert not refusal(answer, "rollback", allowed=bool(live), urgent=True, warned=warned)
    assert ["shop.0002_note" + why in text for text in warned] == [True]
