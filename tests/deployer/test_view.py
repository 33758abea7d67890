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
from slipway.deploy.view import figures, state
from slipway.deploy.view.server import Server


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


def ask(server, path, host="127.0.0.1", cookie="", method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, headers={"Host": f"{host}:{server.server_port}", "Cookie": cookie})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def admitted(server):
    """Return the cookie that the token brings."""
    status, headers, _ = ask(server, f"/?token={server.token}")
    assert (status, headers["Location"]) == (303, "/"), "the next address has no token"
    cookie = headers["Set-Cookie"]
    assert cookie.endswith("; HttpOnly; SameSite=Strict; Path=/") and server.token not in cookie
    return cookie.partition(";")[0]


# ---- who gets the page ----


def test_the_token_brings_a_cookie_and_that_the_page(server):
    cookie = admitted(server)
    for path, kind in {"/": "text/html", "/main.js": "text/javascript", "/style.css": "text/css"}.items():
        status, headers, _ = ask(server, path, cookie=cookie)
        assert (status, headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
        assert "script-src 'self'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
    assert json.loads(ask(server, "/state.json", cookie=cookie)[2]) == {"app": "shop"}
    assert ask(server, "/state.json", host="localhost", cookie=cookie)[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/state.json", "/main.js", "/?token=", "/?token=guess", "/state.json?token=guess"]
)
def test_nobody_else_gets_anything(server, path):
    for cookie in (
        "",
        "slipway_view=",
        "slipway_view=guess",
        "slipway_view=\u00e9".encode().decode("latin-1"),
        "a=b; c",
    ):
        status, headers, body = ask(server, path, cookie=cookie)
        assert (status, "Set-Cookie" in headers) == (403, False) and "shop" not in body


def test_a_name_that_leads_here_is_another_site(server):
    """DNS rebinding: a page of evil.example may reach this server, with the reader's cookies of its own name."""
    cookie = admitted(server)
    assert ask(server, "/state.json", host="evil.example", cookie=cookie)[0] == 421
    assert ask(server, f"/?token={server.token}", host="evil.example")[0] == 421


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/page/main.js", "/__init__.py", "//etc/passwd"]
)
def test_only_the_page_s_files_are_served(server, path):
    assert ask(server, path, cookie=admitted(server))[0] == 404


def test_the_log_of_a_request(server):
    cookie = admitted(server)
    answers = {
        "request=3f2a3f2a&at=1796126355.123": (200, ["web1 web 3f2a3f2a at 1796126355.123"]),
        "request=is-silent&at=1": (200, ["no logs from web1"]),
    }
    for query, (status, told) in answers.items():
        got = ask(server, f"/lines.json?{query}", cookie=cookie)
        assert (got[0], json.loads(got[2])) == (status, told)
    for query in (
        "",
        "request=3f2a3f2a",
        "request=$(reboot)&at=1",
        "request=3f2a3f2a&at=nan",
        "request=3f2a3f2a&at=1&x=1",
    ):
        assert ask(server, f"/lines.json?{query}", cookie=cookie)[0] == 404, query
    assert ask(server, "/lines.json?request=3f2a3f2a&at=1")[0] == 403


def test_it_only_reads(server):
    assert ask(server, "/state.json", cookie=admitted(server), method="POST")[0] == 501


def test_it_listens_on_this_machine_alone(server, capfd):
    assert server.server_address[0] == "127.0.0.1"
    admitted(server)
    assert capfd.readouterr() == ("", ""), "no log has the token"


def test_the_browser_is_led_by_a_file_of_its_owner(tmp_path):
    path = view.redirect(str(tmp_path), "http://127.0.0.1:1/?token=a&b")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert 'content="0; url=http://127.0.0.1:1/?token=a&amp;b"' in Path(path).read_text()


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


def test_what_status_would_show(watched):
    web1 = host(watched, "web1")
    assert web1["kinds"] == ["web"] and web1["age"] == 2 and web1["silent"] == ""
    assert web1["processes"][0] == {
        "role": "web",
        "release": "v1",
        "slot": "a",
        "state": "active ready",
        "since": "2026-11-20 17:00:00",
    }
    assert host(watched, "db")["services"][0] == {
        **{"role": "postgres", "release": "17.5", "since": "2026-11-27 20:11:00"},
        "state": "active, 912 MB, 18 connections",
    }
    assert host(watched, "web3")["silent"].startswith("cannot be reached") and host(watched, "web3")["silence"] == 90


def test_problems_are_those_of_status(watched):
    watched["db"].answers["services"].value["services"]["postgres"]["version"] = ""
    watched["db"].answers["backups"].value["stopped"] = ["wal"]
    watched["web1"].answers["facts"].value["strangers"] = ["shop.example leads elsewhere"]
    assert host(watched, "web1")["problems"] == ["shop.example leads elsewhere"]
    assert host(watched, "db")["problems"] == [
        "postgres does not answer, its unit is active: slipway logs --role postgres",
        "backup: the timer of wal does not run: slipway provision",
    ]


@pytest.mark.parametrize(("skew", "text"), [(1.9, ""), (2.1, "2 s ahead of"), (-3700, "3700 s behind")])
def test_a_clock_that_is_off_is_named(watched, skew, text):
    watched["web1"].skew = skew
    assert "".join(host(watched, "web1")["problems"]) == (
        text and f"its clock is {text} this machine's: timedatectl set-ntp true"
    )


def test_a_balancer_sees_all_visitors(watched):
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
    assert errors["unknown"] == ["web2"]
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
    assert nightly["health"] == "overdue" and (nightly["last"], nightly["next"]) == ("2026-11-28 03:00:00", "")
    assert shown(watched)["data"][0]["text"].startswith("backup 1 min old, drilled")


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
