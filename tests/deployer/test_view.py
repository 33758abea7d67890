"""What the page of `slipway view` shows."""

import pytest

from deployer import viewed
from deployer.viewed import NOW, host, shown, texts
from slipway.deploy.server import provisioned
from slipway.deploy.view import figures

# ---- figures ----


def test_quantiles():
    assert figures.quantile({}, 0.5) is None
    assert figures.quantile({10: 98, 20: 1, 900: 1}, 0.5) == 10
    assert figures.quantile({10: 98, 20: 1, 900: 1}, 0.99) == 20
    assert figures.quantile({10: 97, 900: 3}, 0.99) == 900


def test_a_series_has_the_steps_that_have_ended():
    buckets = [
        {"at": 1000.0, "statuses": {"2": 5}, "times": {"10": 5}},
        {"at": 1000.0, "statuses": {"2": 3, "5": 2}, "times": {"30": 5}},  # of another host
        {"at": 1010.0, "statuses": {"2": 99}, "times": {}},  # has not ended
        {"at": 100.0, "statuses": {"2": 99}, "times": {}},  # too old
    ]
    points = figures.series(buckets, 900, 1019)
    assert len(points) == 90 and points[-1] == {
        **{"at": 1000, "2": 8, "3": 0, "4": 0, "5": 2},
        **{"median": 10, "p99": 30},
    }
    assert figures.totals(points) == {"answers": 10, "errors": 2}
    assert [point["at"] for point in figures.series(buckets, 3600, 1019)][-1] == 900


# ---- the page's state ----


@pytest.fixture
def watched(monkeypatch):
    for name in ("of_deploys", "of_others"):
        monkeypatch.setattr(provisioned, name, lambda fleet, host: {})  # they take longer than all the rest
    return viewed.watched()


def test_what_status_would_show(watched):
    web1 = host(watched, "web1")
    assert web1["kinds"] == ["web"] and web1["age"] == 2 and web1["silent"] == "" and web1["state"] == "well"
    assert web1["processes"][0] == {
        "role": "web",
        "release": "v1",
        "slot": "a",
        "state": "active ready",
        "since": 1_795_194_000,
    }
    assert host(watched, "db")["services"][0] == {
        **{"role": "postgres", "release": "17.5", "since": 1_795_810_260},
        "state": "active, 912 MB, 18 connections",
    }
    assert host(watched, "web3")["silent"].startswith("cannot be reached")
    assert (host(watched, "web3")["state"], host(watched, "web3")["since"]) == ("silent", NOW - 90)


def test_problems_are_those_of_status(watched):
    watched["db"].answers["services"].value["services"]["postgres"]["version"] = ""
    watched["db"].answers["backups"].value["stopped"] = ["wal"]
    watched["web1"].answers["facts"].value["strangers"] = ["shop.example leads elsewhere"]
    assert texts(watched, "web1") == ["shop.example leads elsewhere"]
    assert texts(watched, "db") == [
        "postgres does not answer, its unit is active: slipway logs --role postgres",
        "backup: the timer of wal does not run: slipway provision",
    ]


@pytest.mark.parametrize(("skew", "text"), [(1.9, ""), (2.1, "2 s ahead of"), (-3700, "3700 s behind")])
def test_a_clock_that_is_off_is_named(watched, skew, text):
    watched["web1"].skew = skew
    assert "".join(texts(watched, "web1")) == (text and f"its clock is {text} this machine's: timedatectl set-ntp true")


def test_a_balancer_sees_all_visitors(watched):
    watched["front"].answers["pulse"].at = NOW
    visitors = shown(watched)["visitors"]
    assert (
        visitors["hosts"] == ["front"]
        and visitors["complete"]
        and [each["seconds"] for each in visitors["spans"]] == [900, 3600, 86_400]
    )
    assert visitors["spans"][0]["points"][-1]["2"] == 121
    del watched["front"]
    watched["web2"].complete = False
    visitors = shown(watched)["visitors"]
    assert visitors["hosts"] == ["web1", "web2", "web3"] and not visitors["complete"]


def test_what_may_explain_a_change(watched):
    assert [mark["text"] for mark in shown(watched)["marks"]] == [
        *("deploy build-41", "deploy build-42", "taken back build-43", "backup of db"),
    ]


def test_the_maintenance_page_is_a_mark(watched):
    """One, though each host says the same."""
    for name in ("front", "web1"):
        watched[name].closed = {NOW - 30}
    assert [mark["text"] for mark in shown(watched)["marks"]].count("maintenance page") == 1


def test_new_errors_come_first_and_what_is_unknown_is_said(watched):
    del watched["web2"].answers["errors"]
    errors = shown(watched)["errors"]
    assert [(group["id"], group["hosts"]) for group in errors["groups"]] == [("0badcafe", ["web1"])]
    assert shown(watched)["sources"]["errors"]["unknown"] == [{"host": "web2", "why": "not asked yet"}]
    assert watched["web1"].value("errors")["groups"][0]["hosts"] == [], "what the host has said stays as it is"


def test_releases_are_the_newest_first(watched):
    newest = shown(watched)["releases"][0]
    assert (
        newest["tag"] == "build-43"
        and newest["cause"] == "web2: /readyz answers 503"
        and newest["by"] == "ann from laptop"
    )
    assert shown(watched)["releases"][1]["settings"] == "PAGE_SIZE" and len(shown(watched)["releases"]) == 3


def test_work_and_data(watched):
    facts = watched["work"].answers["facts"].value
    facts["tasks"], facts["timed"] = (
        ["2 tasks are dead"],
        {"nightly": {"state": "failed", "since": "Sat 2026-11-28 03:00:00 UTC", "health": "overdue"}},
    )
    assert shown(watched)["work"]["celery"]["waiting"] == {"celery": 4}
    assert shown(watched)["work"]["tasks"] == ["2 tasks are dead"]
    [nightly] = shown(watched)["work"]["timed"]
    assert nightly["health"] == "overdue" and (nightly["last"], nightly["next"]) == (1_795_834_800, None)
    [_, backup] = shown(watched)["data"]
    assert NOW - backup["until"] < 120 and backup["drill"]["rows"] == 1_204_331


@pytest.mark.parametrize(
    ("release", "slot", "attempt", "name"),
    [
        ("v2", "b", "v2", "new"),
        ("v0", "b", "v2", "old"),  # still the release before: the slot is not empty yet
        ("v1", "a", "v1", "old"),  # after a restart's flip
        ("v0", None, None, "old"),
    ],
)
def test_a_release_that_comes_is_not_old(watched, release, slot, attempt, name):
    facts = watched["web1"].answers["facts"].value
    facts["attempt"], facts["coming"] = attempt, slot
    facts["slots"]["b"] = {"release": {"tag": release, "image_id": "sha256:2"}, "units": {"web": {"state": "active"}}}
    [other] = [each for each in host(watched, "web1")["processes"] if each["slot"] == "b"]
    assert (other["role"], other["release"]) == (name, release)
    assert other["state"] == {"new": "not live yet", "old": "warm"}[name]


def test_times_of_hosts_are_moments(watched):
    """So that the page has one form of time. What an earlier agent says in another zone stays as it is."""
    web = watched["web1"].answers["facts"].value["slots"]["a"]["units"]["web"]
    for text, since in {
        "Fri 2026-11-20 17:00:00 UTC": 1_795_194_000,
        "Fri 2026-11-20 17:00:00 CET": ...,
        "": None,
    }.items():
        web["since"] = text
        assert host(watched, "web1")["processes"][0]["since"] == (text if since is ... else since)


# ---- a deploy that is under way ----


def under(watched, name, steps=(), **more):
    pulse = watched[name].answers["pulse"].value
    pulse["underway"] = {"action": "deploy", "tag": "v2", "who": "", "seconds": 9, **more}
    pulse["steps"] = [*steps]


@pytest.mark.parametrize(("cause", "told"), [("web2: /readyz answers 503", "web2: /readyz answers 503"), ("", "")])
def test_a_takeback_has_its_cause(watched, cause, told):
    """From the first host on that goes back."""
    under(watched, "web1", [step("pull", "done", 8, 5.0)])
    assert shown(watched)["underway"]["takeback"] is None
    under(watched, "web2", takeback=cause)
    assert shown(watched)["underway"]["takeback"] == told


def test_a_step_that_failed_ends_in_a_takeback(watched):
    """The deployer may take seconds to find out more before it begins. After a promise hosts may go on."""
    failed = {**step("ready", "failed", 8, 5.0), "problem": "/readyz answers 503"}
    under(watched, "web1", [failed])
    assert shown(watched)["underway"]["takeback"] == "web1: ready: /readyz answers 503"
    for name in ("promise", "commit"):
        under(watched, "web1", [{**failed, "step": name}])
        assert shown(watched)["underway"]["takeback"] is None


def test_a_deploy_that_is_under_way(watched):
    assert shown(watched)["underway"] is None
    for name, steps in {
        "web1": [step("pull", "done", 8, 5.0), step("start", "start", 3)],
        "web2": [step("pull", "failed", 8, 4.0)],
    }.items():
        pulse = watched[name].answers["pulse"].value
        pulse["underway"] = {
            "action": "deploy",
            "tag": "build-44",
            "who": "deploy build-44 by ben from ci",
            "seconds": 9,
        }
        pulse["steps"] = steps
    underway = shown(watched)["underway"]
    assert underway["steps"] == ["pull", "start"] and underway["by"] == "ben from ci" and underway["seconds"] == 11
    assert underway["hosts"]["web1"] == {
        "pull": {"state": "done", "seconds": 5.0},
        "start": {"state": "start", "seconds": 3},
    }
    assert underway["hosts"]["web2"] == {"pull": {"state": "failed", "seconds": 4.0}}


def step(name, its_state, ago, *seconds):
    """Return a step that began so many seconds before NOW; the pulse came two seconds before."""
    return {"step": name, "state": its_state, "since": NOW - ago, **({"seconds": seconds[0]} if seconds else {})}
