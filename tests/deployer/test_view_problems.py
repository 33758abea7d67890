"""What the page of `slipway view` calls a problem, and what unknown."""

import pytest

from deployer import viewed
from deployer.viewed import NOW, host, shown, texts
from slipway.deploy.server import provisioned
from slipway.deploy.view import problems
from slipway.deploy.view.watched import NOT_ASKED, name_of


@pytest.fixture
def watched(monkeypatch):
    for name in ("of_deploys", "of_others"):
        monkeypatch.setattr(provisioned, name, lambda fleet, host: {})  # they take longer than all the rest
    return viewed.watched()


def failing(watched, name, answers, errors, ago=10):
    """Let visitors of a host get so many errors among so many answers, so many seconds ago, and nothing else."""
    at = NOW // 10 * 10 - ago
    watched[name].buckets = {at: {"at": at, "statuses": {"2": answers - errors, "5": errors}, "times": {}}}


def test_a_host_whose_visitors_get_errors_is_not_well(watched):
    failing(watched, "web1", 80, 20)
    assert host(watched, "web1")["state"] == "problem"
    assert texts(watched, "web1") == [
        "25 % of visitors' requests failed with 5xx, 20 of 80 in 60 s: slipway errors",
    ]
    watched["web1"].answers["pulse"].value["closed"] = NOW - 60
    assert texts(watched, "web1") == [], "they get the maintenance page"


@pytest.mark.parametrize(
    ("answers", "errors", "ago", "is_wrong"),
    [(100, 6, 10, True), (100, 5, 10, False), (3, 1, 10, False), (3, 2, 200, True), (3, 3, 400, False)],
)
def test_how_many_errors_of_visitors_are_a_problem(watched, answers, errors, ago, is_wrong):
    """More than one, and more than 5 %, within a minute; within five if the site has few visitors."""
    failing(watched, "web2", answers, errors, ago)
    assert bool(texts(watched, "web2")) == is_wrong


def test_of_a_silent_host_old_visitors_are_no_news(watched):
    failing(watched, "web3", 80, 20)
    assert texts(watched, "web3") == []


def test_each_problem_has_its_begin(watched):
    """Which stays while its numbers change, and is new if it comes again."""
    facts = watched["web1"].answers["facts"].value
    begins = []
    for strangers, now in [(["x is 59 min old"], 1), (["y", "x is 2 h old"], 2), (["y"], 3), (["x is 1 min old"], 4)]:
        facts["strangers"] = strangers
        watched["web1"].note(problems.of_host(viewed.fleet(), watched["web1"], NOW), now)
        begins.append([each["since"] for each in host(watched, "web1")["problems"]])
    assert begins == [[1], [2, 1], [2], [4]]


@pytest.mark.parametrize(
    ("one", "other"), [("build-41 runs", "build-42 runs"), ("v1.2 is old", "v1.3 is old"), ("web1 is", "web2 is")]
)
def test_problems_of_other_releases_are_others(one, other):
    assert name_of(one) != name_of(other)


def test_what_was_not_asked_is_unknown(watched):
    assert host(watched, "front")["state"] == "well", "its visitors get answers"
    watched["front"].buckets = {NOW - 310: {"at": NOW - 310, "statuses": {"2": 1}, "times": {}}}
    assert host(watched, "front")["state"] == "answers", "only its load and disks are known"
    assert [host(watched, name)["state"] for name in ("web1", "work", "db")] == ["well"] * 3
    for request in ("facts", "celery", "backups", "errors"):
        answer = watched["web1"].answers.pop(request)
        assert host(watched, "web1")["state"] == "unknown" and host(watched, "web1")["unknown"] == ["not asked yet"]
        watched["web1"].failed[request] = "the journal is slow"
        assert host(watched, "web1")["state"] == "problem" and texts(watched, "web1") == ["the journal is slow"]
        watched["web1"].failed.clear()
        watched["web1"].answers[request] = answer
    watched["db"].problem = NOT_ASKED
    assert host(watched, "db")["state"] == "unknown"


def test_each_part_says_what_it_rests_on(watched):
    """When each host was asked, and of which nothing is known, and why."""
    del watched["web2"].answers["errors"]
    watched["web2"].failed["errors"] = "the journal is slow"
    del watched["web3"].answers["facts"]
    watched["web1"].answers["celery"].at = NOW - 300
    parts = shown(watched)["sources"]
    assert parts["errors"]["unknown"] == [{"host": "web2", "why": "the journal is slow"}]
    assert parts["errors"]["asked"] == {"web1": NOW - 2, "web3": NOW - 2, "work": NOW - 2}
    silent = {"host": "web3", "why": "cannot be reached: Connection timed out; try ssh by hand"}
    assert parts["releases"]["unknown"] == parts["work"]["unknown"] == [silent]
    assert parts["work"]["asked"]["web1"] == NOW - 300 and parts["releases"]["asked"]["web1"] == NOW - 2
    assert parts["data"] == {"asked": {"web1": NOW - 2, "db": NOW - 2}, "unknown": []}


def test_a_box_is_as_old_as_its_oldest_answer(watched):
    watched["db"].answers["backups"].at = NOW - 200
    watched["web1"].answers["errors"].at = NOW - 300  # which stand elsewhere
    assert [host(watched, name)["asked"] for name in ("db", "web1", "front")] == [NOW - 200, NOW - 2, NOW - 2]


def test_visitors_of_a_silent_host_are_unknown(watched):
    """And not none. Nor is what nginx does not log."""
    del watched["front"]
    watched["web2"].answers["pulse"].value["traffic"]["place"] = None
    visitors = shown(watched)["visitors"]
    assert [(each["host"], each["why"][:21]) for each in visitors["unknown"]] == [
        ("web2", "nginx has no log of t"),
        ("web3", "cannot be reached: Co"),
    ]
    assert [host(watched, name)["rates"] for name in ("web2", "web3")] == [None, None]
    assert len(host(watched, "web1")["rates"]) == 90


def test_a_point_that_hosts_have_not_told_yet_is_not_shown(watched):
    """Else visitors would seem to leave at each look."""
    watched["front"].answers["pulse"].at = NOW - 8
    until = (NOW - 8) // 10 * 10
    del watched["front"].buckets[until]  # it has not ended there
    assert shown(watched)["visitors"]["spans"][0]["points"][-1]["at"] == until - 10
    assert host(watched, "front")["rates"][-1] > 10


def test_what_celery_says_is_what_it_said_last(watched):
    watched["web2"].answers["celery"].value["dead"] = 7
    watched["web1"].answers["celery"].at = NOW - 300
    assert shown(watched)["work"]["celery"]["dead"] == 7


@pytest.mark.parametrize(("seconds", "state"), [(110, "well"), (150, "unknown")])
def test_a_host_that_has_not_answered_for_long_is_not_well(watched, seconds, state):
    """Such as after this machine has slept, until the connection is known to be lost."""
    for name in ("web1", "front"):
        for answer in watched[name].answers.values():
            answer.at = NOW - seconds
        told = host(watched, name)
        assert told["state"] == state, name
        assert told["unknown"] == (["no answer for 2 minutes"] if state == "unknown" else [])
