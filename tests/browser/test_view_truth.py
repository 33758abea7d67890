"""The page of `slipway view` in a browser: it says what is wrong, what is old, and what is unknown."""

import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from playwright.sync_api import expect

from browser.served import EVIL, Served, clock, opened, overflow, results_of
from deployer import viewed
from deployer.viewed import NOW
from proc import ROOT
from slipway.deploy import config


def well(served):
    """Let web3 be well, too."""
    served.watched["web3"].problem = ""


def test_the_first_line_and_the_title_say_the_worst(served, visit):
    page = opened(visit, served)
    expect(page.locator("#worst")).to_have_text(f"web3: silent since {clock(page, NOW - 90)}")
    assert page.title() == f"▲ shop: web3: silent since {clock(page, NOW - 90)}"
    well(served)
    expect(page.locator("#worst.well")).to_have_text("all is well")
    assert page.title() == "● shop: all is well"
    served.value("db", "services")["services"]["redis"]["version"] = ""
    expect(page.locator("#worst.problem")).to_contain_text("db: redis does not answer")
    served.value("web1", "facts")["strangers"] = ["elsewhere", EVIL]
    expect(page.locator("#worst.problem")).to_contain_text("web1: elsewhere; web1: <img")
    assert page.locator("#worst").inner_text().endswith("; 1 problem more") and page.locator("img").count() == 0
    del served.watched["web1"], served.watched["db"]
    answer = served.watched["web2"].answers.pop("errors")
    expect(page.locator("#worst.unknown")).to_have_text("web2: unknown, not asked yet")
    expect(page.locator(".host.unknown .state")).to_have_text("unknown: not asked yet")
    served.watched["web2"].answers["errors"] = answer
    served.value("front", "pulse")["traffic"]["place"] = None
    expect(page.locator("#worst.unknown")).to_have_text("visitors of front are unknown: nginx has no log of them")
    served.value("front", "pulse")["closed"] = NOW - 30
    served.watched["front"].buckets = {}
    served.value("front", "pulse")["traffic"]["place"] = {"inode": 1, "offset": 0}
    expect(page.locator("#worst.unknown")).to_have_text("visitors get the maintenance page")
    served.value("front", "pulse")["closed"] = None
    expect(page.locator("#worst.answers")).to_have_text("no problem is known")
    assert results_of(page) == 0


def test_a_problem_says_since_when(served, visit):
    served.value("web2", "facts")["strangers"] = ["shop.example leads elsewhere"]
    served.watched["web2"].note(["shop.example leads elsewhere"], NOW - 700)
    page = opened(visit, served)
    expect(page.locator(".host.problem li").first).to_have_text(
        f"shop.example leads elsewheresince {clock(page, NOW - 700)}"
    )
    expect(page.locator("#zone")).to_have_text("times of UTC")


def test_of_what_time_each_part_is(served, visit):
    """If that is more than a minute ago."""
    well(served)
    page = opened(visit, served)
    for part in ("errors", "work", "releases", "data", "visitors"):
        expect(page.locator(f"#{part} .as-of")).to_have_text("")
    served.watched["web1"].answers["errors"].at = NOW - 300
    for each in served.watched.values():
        for request in ("facts", "backups"):
            if request in each.answers:
                each.answers[request].at = NOW - 200
    expect(page.locator("#errors .as-of")).to_have_text(f"web1 as of {clock(page, NOW - 300)}")
    served.watched["web2"].answers["errors"].at = NOW - 900
    expect(page.locator("#errors .as-of")).to_have_text(f"web1, web2 as of {clock(page, NOW - 900)}")
    expect(page.locator("#releases .as-of")).to_have_text(f"as of {clock(page, NOW - 200)}")
    expect(page.locator("#data .as-of")).to_have_text(f"as of {clock(page, NOW - 200)}")
    expect(page.locator(".host", has_text="web2").locator(".state")).to_have_text(
        f"well, as of {clock(page, NOW - 200)}"
    )
    assert overflow(page) == 0 and results_of(page) == 0


def test_what_is_unknown_says_so_in_each_part(served, visit):
    for each in served.watched.values():
        for request in [name for name in each.answers if name != "pulse"]:
            del each.answers[request]
            each.failed[request] = f"no {request} {EVIL}"
    page = opened(visit, served)
    for part, why in {"errors": "no errors", "releases": "no facts", "data": "no backups", "work": "no facts"}.items():
        expect(page.locator(f"#{part} ul")).to_contain_text(f"unknown on web1: {why} <img")
        assert not re.search("none since|docs/backup|no tasks|none yet", page.locator(f"#{part}").inner_text())
    expect(page.locator("#work ul")).to_contain_text("; no celery <img")
    for each in served.watched.values():
        each.problem, each.buckets = "cannot be reached", {}
    expect(page.locator("#visitors .figures")).to_have_text("unknown on front: cannot be reached")
    expect(page.locator(".host .rate").first).to_have_text("requests a second: unknown")
    assert page.locator("img").count() == 0


def test_no_releases_and_no_backups_are_told(served, visit):
    for each in served.watched.values():
        each.answers.pop("backups", None)
        if facts := each.value("facts"):
            facts["records"] = []
    served.fleet = config.build({**viewed.TOML, "hosts": viewed.HOSTS}, {}, "x")
    page = opened(visit, served)
    expect(page.locator("#releases li")).to_have_text("none yet")
    expect(page.locator("#data li")).to_have_text("no backups: docs/backup.md")


class Command:
    """The page served by a process of its own, which can be stopped."""

    def __init__(self):
        program = (
            "import sys, threading; from deployer import viewed; from slipway.deploy.view import state\n"
            "from slipway.deploy.view.server import Server; watched = viewed.watched(); watched['web3'].problem = ''\n"
            "server = Server(0, lambda: state.page(viewed.fleet(), watched, viewed.NOW), lambda *_: [])\n"
            "print(server.address_with_token, flush=True); server.serve_forever()"
        )
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True
        )
        self.address = self.process.stdout.readline().strip()


@pytest.fixture
def command():
    command = Command()
    yield command
    command.process.send_signal(signal.SIGCONT)
    command.process.kill()
    command.process.wait()


def test_a_command_that_hangs_is_not_well(command, visit):
    """The page counts the age itself, and waits for no answer for ever. Later it goes on."""
    page = visit(command.address, 1280)
    expect(page.locator("#worst")).to_have_text("all is well")
    command.process.send_signal(signal.SIGSTOP)
    expect(page.locator("#age")).to_have_text("figures are up to 7 s old", timeout=20_000)
    expect(page.locator("#worst.unknown")).to_have_text("slipway view does not answer", timeout=20_000)
    assert page.title() == "○ shop: slipway view does not answer"
    assert page.locator(".host.well").count() == 0
    expect(page.locator(".host.stale .state").first).to_have_text(f"well at {clock(page, NOW)}")
    expect(page.locator("#news")).to_have_text("slipway view does not answer")
    command.process.send_signal(signal.SIGCONT)
    expect(page.locator("#worst")).to_have_text("all is well", timeout=20_000)
    assert page.locator(".host.stale").count() == 0


def test_an_answer_that_never_comes_is_given_up(served, visit):
    """As over a network that was away: the next question is answered."""
    well(served)
    page = opened(visit, served)
    compute, asked, end = served.server.state, [], threading.Event()

    def state():
        asked.append(1)
        if len(asked) == 1:
            end.wait(60)
        return compute()

    served.server.state = state
    expect(page.locator("#worst")).to_have_text("slipway view does not answer", timeout=20_000)
    expect(page.locator("#worst")).to_have_text("all is well", timeout=20_000)
    assert not end.is_set() and len(asked) > 1
    end.set()


def test_a_page_without_the_key_says_what_to_do(served, visit):
    """It finds the key if its address gets it, and keeps it over a reload."""
    page = visit(served.server.address, 1280, expected=["403"])
    expect(page.locator("#worst")).to_have_text(
        "this page has no key: open the address that slipway view has printed last"
    )
    page.goto(served.address)
    page.locator(".host").first.wait_for()
    assert page.url == served.server.address, "the key is not in the browser's history"
    page.reload()
    page.locator(".host").first.wait_for()


def test_two_pages_in_one_browser(served, visit):
    """And a server at another port of this machine, with its cookies. It gets no key."""
    other, seen = Served(), []

    class Foreign(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(str(self.headers))
            self.send_response(200)
            self.send_header("Set-Cookie", 'theirs={"a": [1, "\u00e9"]}; Path=/'.encode().decode("latin-1"))
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>x</title>")

        def log_message(self, *_):
            pass

    foreign = HTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=foreign.serve_forever, daemon=True).start()
    page = visit(f"http://127.0.0.1:{foreign.server_port}/", 1280)
    pages = [page.context.new_page() for _ in range(2)]
    for each, its in zip(pages, (served, other), strict=True):
        each.goto(its.address)
        each.locator(".host").first.wait_for()
    page.reload()
    for each in pages:
        with each.expect_response("**/state.json") as answer:
            pass
        assert answer.value.ok
    assert len(seen) >= 2 and not any(its.server.token in text for its in (served, other) for text in seen)
    foreign.shutdown()
    foreign.server_close()
    other.close()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(EVIL), f"slipway view failed (500): ValueError: {EVIL}"),
        (TimeoutError(), "slipway view failed (503): this machine is too busy to compute the figures"),
    ],
)
def test_figures_that_cannot_be_computed_have_words(served, visit, capfd, error, text):
    well(served)
    page = visit(served.address, 1280, expected=["500", "503"])
    expect(page.locator("#worst")).to_have_text("all is well")

    def fails():
        raise error

    compute, served.server.state = served.server.state, fails
    expect(page.locator("#worst")).to_have_text(text)
    assert page.locator(".host.stale").count() == 6 and page.locator("img").count() == 0
    served.server.state = compute
    expect(page.locator("#worst")).to_have_text("all is well")


def test_a_takeback_is_shown_as_one(served, visit):
    """With its cause, and not as a deploy that goes on."""
    well(served)
    page = opened(visit, served)
    for name in ("web1", "web2"):
        pulse = served.value(name, "pulse")
        pulse["underway"] = {"action": "deploy", "tag": "v2", "who": "deploy v2 by ann from ci", "seconds": 9}
    expect(page.locator("#underway-title")).to_have_text("deploy v2 by ann from ci, 11 s")
    expect(page.locator("#worst.well")).to_have_text("deploy of v2 is under way; all is well")
    expect(page.locator("#cause")).to_be_hidden()
    served.value("web2", "pulse")["underway"]["takeback"] = f"web2: /readyz answers 503 {EVIL}"
    expect(page.locator("#underway-title")).to_have_text("takeback: deploy v2 by ann from ci, 11 s")
    expect(page.locator("#cause")).to_have_text(f"web2: /readyz answers 503 {EVIL}")
    expect(page.locator("#worst.problem")).to_contain_text("takeback of v2: web2: /readyz answers 503 <img")
    assert page.locator("#underway.back").count() == 1 and page.locator("img").count() == 0
    expect(page.locator("#underway .scroll")).to_be_hidden()
    served.value("web2", "pulse")["underway"]["takeback"] = ""
    expect(page.locator("#cause")).to_have_text("no cause is told")
    assert results_of(page) == 0
    for name in ("web1", "web2"):
        served.value(name, "pulse")["underway"] = None
    expect(page.locator("#underway")).to_be_hidden()
    assert page.locator("#underway.back").count() == 0
