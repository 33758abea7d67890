"""`slipway view`: who gets the page, what it shows, and how the hosts are asked."""

import http.client
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from deployer import viewed
from deployer.viewed import NOW
from slipway.deploy.commands import view
from slipway.deploy.errors import DeployError
from slipway.deploy.view import figures, problems, state
from slipway.deploy.view.server import Server
from slipway.deploy.view.watched import NOT_ASKED, name_of


@pytest.fixture
def server():
    server = Server(0, lambda: {"app": "shop"}, lines)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def lines(request, at):
    if request == "is-silent":
        raise DeployError("no logs from web1")
    return [f"web1 web {request} at {at}"]


def ask(server, path, host="127.0.0.1", key="", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    headers = {"Host": f"{host}:{server.server_port}", "Authorization": f"Bearer {key}", **headers}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


# ---- who gets the page ----


def test_the_key_is_in_the_part_of_the_address_that_no_browser_sends(server):
    assert server.address_with_token == f"http://127.0.0.1:{server.server_port}/#token={server.token}"
    for path, kind in {"/": "text/html", "/main.js": "text/javascript", "/style.css": "text/css"}.items():
        status, headers, body = ask(server, path)
        assert (status, headers["Content-Type"]) == (200, f"{kind}; charset=utf-8") and "shop" not in body
        assert "script-src 'self'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in headers, "other servers on this machine would get it"
    assert json.loads(ask(server, "/state.json", key=server.token)[2]) == {"app": "shop"}
    assert ask(server, "/state.json", host="localhost", key=server.token)[0] == 200


@pytest.mark.parametrize("path", ["/state.json", "/lines.json?request=3f2a3f2a&at=1", "/state.json?token=TOKEN", "/x"])
def test_nobody_else_is_told_anything(server, path):
    path = path.replace("TOKEN", server.token)
    for key in ("", "guess", server.token[:-1], "\u00e9".encode().decode("latin-1")):
        status, _, body = ask(server, path, key=key)
        assert status == 403 and "shop" not in body and "3f2a" not in body
    assert ask(server, path, key="", Authorization=server.token)[0] == 403


@pytest.mark.parametrize(
    "cookie", ['a={"b": [1, "c;d"]}', "a=\u00e9", "slipway_view=guess", "a=b; c", ";;=", "a" * 8000]
)
def test_cookies_of_other_servers_change_nothing(server, cookie):
    """A browser sends them to all ports of 127.0.0.1."""
    assert ask(server, "/state.json", key=server.token, Cookie=cookie.encode("utf-8").decode("latin-1"))[0] == 200


def test_a_name_that_leads_here_is_another_site(server):
    """DNS rebinding: a page of evil.example may reach this server."""
    for path in ("/", "/state.json"):
        assert ask(server, path, host="evil.example", key=server.token)[0] == 421


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/page/main.js", "/__init__.py", "//etc/passwd"]
)
def test_only_the_page_s_files_are_served(server, path):
    assert ask(server, path, key=server.token)[0] == 404


def test_the_log_of_a_request(server):
    answers = {
        "request=3f2a3f2a&at=1796126355.123": (200, ["web1 web 3f2a3f2a at 1796126355.123"]),
        "request=is-silent&at=1": (200, ["no logs from web1"]),
    }
    for query, (status, told) in answers.items():
        got = ask(server, f"/lines.json?{query}", key=server.token)
        assert (got[0], json.loads(got[2])) == (status, told)
    for query in (
        "",
        "request=3f2a3f2a",
        "request=$(reboot)&at=1",
        "request=3f2a3f2a&at=nan",
        "request=3f2a3f2a&at=1&x=1",
    ):
        assert ask(server, f"/lines.json?{query}", key=server.token)[0] == 404, query


@pytest.mark.parametrize(
    ("error", "status", "text"), [(TimeoutError(), 503, "this machine is too busy"), (ValueError("x\udcff"), 500, "x")]
)
def test_figures_that_cannot_be_computed_are_an_answer(server, capfd, error, status, text):
    """Else the page would say that the command has ended."""

    def fails():
        raise error

    server.state = fails
    answer = ask(server, "/state.json", key=server.token)
    assert answer[0] == status and text in answer[2]
    server.state = dict
    assert ask(server, "/state.json", key=server.token)[0] == 200


def test_a_browser_that_has_gone_is_no_error(server, capfd):
    """The page gives an answer up that takes too long."""
    asked, gone, done = threading.Event(), threading.Event(), threading.Event()

    def state():
        asked.set()
        gone.wait(10)
        return {"much": "x" * 10**7}

    server.state = state
    server.shutdown_request = lambda request: (type(server).shutdown_request(server, request), done.set())
    browser = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    browser.request("GET", "/state.json", headers={"Authorization": f"Bearer {server.token}"})
    assert asked.wait(10)
    browser.close()
    gone.set()
    assert done.wait(10)
    assert capfd.readouterr().err == ""


def test_it_only_reads(server):
    assert ask(server, "/state.json", key=server.token, method="POST")[0] == 501


def test_it_listens_on_this_machine_alone(server, capfd):
    assert server.server_address[0] == "127.0.0.1"
    ask(server, "/state.json", key=server.token)
    assert capfd.readouterr() == ("", ""), "no log has the token"


def test_the_browser_is_led_by_a_file_of_its_owner(tmp_path):
    path = view.redirect(str(tmp_path), "http://127.0.0.1:1/#token=a&b")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert 'content="0; url=http://127.0.0.1:1/#token=a&amp;b"' in Path(path).read_text()


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
def watched():
    return viewed.watched()


def shown(watched):
    return state.page(viewed.fleet(), watched, NOW)


def host(watched, name):
    return next(each for each in shown(watched)["hosts"] if each["name"] == name)


def texts(watched, name):
    return [problem["text"] for problem in host(watched, name)["problems"]]


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


# ---- what is wrong, and what is unknown ----


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
    assert shown(watched)["visitors"]["spans"][0]["points"][-1]["at"] == until - 10
    assert host(watched, "front")["rates"][-1] > 10


def test_what_celery_says_is_what_it_said_last(watched):
    watched["web2"].answers["celery"].value["dead"] = 7
    watched["web1"].answers["celery"].at = NOW - 300
    assert shown(watched)["work"]["celery"]["dead"] == 7


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
        ("v1", "a", "v2", "old"),  # after the flip
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
