"""The page of `slipway view` in a browser: its looks, what stays while it changes, and what hosts may not do to it."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from deployer import test_swarm, viewed
from deployer.viewed import NOW
from proc import ROOT
from slipway.deploy import config
from slipway.deploy.config import Host
from slipway.deploy.view import state
from slipway.deploy.view.own_deploy import OwnDeploy
from slipway.deploy.view.report import report, without_errors
from slipway.deploy.view.server import Server
from slipway.deploy.view.watched import Answer, WatchedHost

EVIL = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def lines(request, at):
    return [f"11-30 12:00:00 web1 web {request}: GET /basket/ {EVIL}", f"11-30 12:00:01 work worker {request}: paid"]


class Served:
    """The page of the fleet in viewed.py, whose hosts may say something else later."""

    def __init__(self):
        self.watched, self.fleet = viewed.watched(), viewed.fleet()
        self.own = None
        self.now = NOW
        self.server = Server(0, lambda: state.page(self.fleet, self.watched, self.now, self.own), lines)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self):
        return self.server.address_with_token

    def value(self, host, request):
        """Return what the host has said, to be changed."""
        return self.watched[host].answers[request].value

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def served():
    served = Served()
    yield served
    served.close()


def opened(visit, served, width=1280, scheme="light"):
    page = visit(served.address, width, scheme)
    page.locator(".host").first.wait_for()
    return page


def clock(page, at):
    """Return a time as the page should write it."""
    return page.evaluate(
        """(at) => {
            const date = new Date(at * 1000);
            const clock = date.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
            return `${date.toLocaleDateString([], {day: "numeric", month: "short"})} ${clock}`;
        }""",
        at,
    )


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_its_looks(served, visit, width, scheme):
    """It fits the window, and has no fault that axe finds."""
    page = opened(visit, served, width, scheme)
    assert overflow(page) == 0
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"view-{width}-{scheme}.png", full_page=width < 500)


def test_a_swarm(served, visit):
    """Its services stand in one more box; what nobody there can tell says so."""
    served.fleet = config.build(test_swarm.DATA, {}, "x")
    pulse = {"pulse": Answer(viewed.PULSE, NOW)}
    served.watched = {host.name: WatchedHost(host, pulse, problem="") for host in served.fleet.hosts}
    manager = {"swarm": Answer(test_swarm.state_of("1/2", "updating"), NOW)}
    served.watched["swarm"] = WatchedHost(Host("swarm", ""), manager, problem="")
    page = opened(visit, served)
    box = page.locator(".host").last
    expect(box).to_contain_text("web v1 1 of 2 containers, updating")
    expect(box).to_contain_text("web: 1 of 2 containers run, updating")
    expect(page.locator("#releases li")).to_have_text("v1: somebody")
    for part in ("errors", "work", "data"):
        expect(page.locator(f"#{part} li")).to_contain_text("not on Swarm")
    assert overflow(page) == 0 and Axe().run(page).violations_count == 0


def test_eight_hosts_and_the_rest_are_seen_without_scrolling(served, visit):
    for name in ("web4", "web5"):
        served.watched[name] = served.watched["web2"]
    page = opened(visit, served)
    page.set_viewport_size({"width": 1280, "height": 800})
    for part in ("#errors", "#work", "#releases", "#data"):
        box = page.locator(f"{part} h2").bounding_box()
        assert box["y"] + box["height"] + 3 * 18 <= 800, f"three lines of {part} are seen"


def test_large_text_in_a_narrow_window(served, visit):
    page = opened(visit, served, 390)
    page.set_viewport_size({"width": 320, "height": 800})
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert overflow(page) == 0
    lefts = page.locator(".host").evaluate_all("hosts => hosts.map((host) => host.getBoundingClientRect().left)")
    assert len({*lefts}) == 1, "one column"


def test_without_colours_the_state_has_words(served, visit):
    served.value("web2", "facts")["strangers"] = ["shop.example leads elsewhere"]
    page = opened(visit, served)
    page.emulate_media(forced_colors="active")
    states = page.locator(".host .state").all_inner_texts()
    assert states[1:4] == [
        "well",
        "1 problem",
        f"cannot be reached: Connection timed out; try ssh by hand; silent since {clock(page, NOW - 90)}",
    ]
    marks = page.locator(".host .mark").evaluate_all(
        "marks => marks.map((mark) => getComputedStyle(mark, '::before').content)"
    )
    assert marks[1:4] == ['"● "', '"▲ "', '"○ "']


def test_by_keyboard_focus_and_an_open_error_stay(served, visit):
    """While the figures change, and the group of errors has one more."""
    page = opened(visit, served)
    page.locator("#pause").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY" and page.evaluate("document.activeElement.id"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#errors details > pre")).to_be_visible()
    served.value("web1", "errors")["groups"][0]["count"] = 4
    expect(page.locator("#errors summary")).to_contain_text("4 ×")
    expect(page.locator("#errors details > pre")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "error-0badcafe-head"


def test_words_of_marks_do_not_cover_each_other(served, visit):
    """Of many within minutes, up to the right edge, each word can be read; the table has all."""
    served.watched["web1"].closed = {NOW - 15 - 40 * number for number in range(12)}
    page = opened(visit, served)
    boxes = page.locator("#requests .mark text").evaluate_all(
        "texts => texts.map((text) => text.getBBox()).map(({x, y, width, height}) => [x, y, x + width, y + height])"
    )
    assert len(boxes) > 5 and max(box[2] for box in boxes) <= page.locator("#requests svg").bounding_box()["width"]
    for one, other in itertools.combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] + 1 or other[3] <= one[1] + 1
    assert page.locator("#visitors table").text_content().count("maintenance page") == 12


def test_what_moves_can_be_paused(served, visit):
    page = opened(visit, served)
    page.locator("#pause").press("Enter")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#worst")).to_contain_text(re.compile(r"^paused since [^;]+; web3: silent since "))
    assert page.title().startswith("○ shop: paused since ") and page.locator(".host.stale").count() == 6
    served.value("web1", "errors")["groups"][0]["count"] = 4
    with page.expect_request("**/state.json", timeout=7000) as seen:
        page.wait_for_timeout(4500)
        assert "3 ×" in page.locator("#errors summary").inner_text()
        assert int(re.search(r"up to (\d+) s old", page.locator("#age").inner_text())[1]) >= 6, "the age is counted"
        page.locator("#pause").press("Enter")
    assert seen.value
    expect(page.locator("#errors summary")).to_contain_text("4 ×")


def test_new_problems_are_announced_and_figures_are_not(served, visit):
    page = opened(visit, served)
    expect(page.locator("#news")).to_contain_text("web3: cannot be reached")
    served.value("web2", "facts")["strangers"] = ["shop.example leads elsewhere"]
    expect(page.locator("#news")).to_have_text("web2: shop.example leads elsewhere")
    served.value("web2", "pulse")["load"] = 9.5
    expect(page.locator(".host", has_text="web2")).to_contain_text("load 9.5")
    expect(page.locator("#news")).to_have_text("web2: shop.example leads elsewhere")


def test_what_hosts_and_visitors_say_is_text(served, visit):
    facts, group = served.value("web1", "facts"), served.value("web1", "errors")["groups"][0]
    facts["strangers"], facts["notes"], facts["tasks"] = [EVIL], [EVIL], [EVIL]
    facts["records"][0]["cause"] = facts["records"][0]["settings"] = EVIL
    facts["slots"]["a"]["release"]["tag"] = EVIL
    group.update({"title": EVIL, "message": EVIL, "text": EVIL, "latest": [[NOW, EVIL, EVIL, EVIL]]})
    served.watched["web2"].problem = EVIL
    pulse = served.value("web1", "pulse")
    pulse["underway"] = {"action": EVIL, "tag": EVIL, "who": f"x by {EVIL}", "seconds": 1}
    pulse["steps"] = [{"step": EVIL, "state": "start", "since": NOW}]
    page = opened(visit, served)
    page.locator("#errors summary").click()
    assert page.locator("body").inner_text().count("<script>") > 12
    assert page.locator("img, main script").count() == 0 and page.title().startswith("▲ shop: web2: silent")


def test_a_deploy_is_seen_from_begin_to_end(served, visit):
    page = opened(visit, served)
    expect(page.locator("#underway")).to_be_hidden()
    pulse = served.value("web1", "pulse")
    pulse["underway"] = {"action": "deploy", "tag": "build-44", "who": "deploy build-44 by ann from ci", "seconds": 9}
    pulse["steps"] = [{"step": "pull", "state": "done", "since": NOW - 9, "seconds": 5.0}]
    expect(page.locator("#underway-title")).to_have_text("deploy build-44 by ann from ci, 11 s")
    pulse["steps"].append({"step": "start", "state": "start", "since": NOW - 4})
    expect(page.locator("#underway tbody")).to_have_text("pull✓ done 5.0 sstart… runs 4.0 s")
    pulse["underway"] = None
    expect(page.locator("#underway")).to_be_hidden()


def test_the_deploy_that_has_opened_the_page(served, visit):
    """It has more to tell, and how it ended. Then nobody is asked any more."""
    served.own = OwnDeploy()
    page = opened(visit, served)
    expect(page.locator("#underway-title")).to_have_text("This deploy begins")
    served.own.tell({"event": "waiting", "host": "web1", "text": f"pulled 40 of 120 MB {EVIL}"})
    served.own.tell({"event": "warning", "text": "lock: shop.0002 locks shop_order"})
    expect(page.locator("#underway ul")).to_contain_text("lock: shop.0002 locks shop_order")
    assert "web1: pulled 40 of 120 MB <img" in page.locator("#underway ul").inner_text()
    served.own.tell({"event": "result", "problem": f"web1: ready: /readyz answers 503\ntaken back {EVIL}"})
    served.own.over = True
    expect(page.locator("#underway pre")).to_have_text(f"web1: ready: /readyz answers 503\ntaken back {EVIL}")
    expect(page.locator("#worst")).to_contain_text("this deploy has ended: nothing here is new any more")
    assert page.locator("img").count() == 0 and results_of(page) == 0
    served.close()
    page.wait_for_timeout(2500)
    expect(page.locator("#worst")).to_contain_text("this deploy has ended: nothing here is new any more")


def test_the_log_of_a_request_comes_at_a_click(served, visit):
    """And stays while the page changes."""
    page = opened(visit, served)
    page.locator("#errors summary").click()
    page.locator("#errors button").press("Enter")
    log = page.locator("#errors li li pre")
    expect(log).to_contain_text("work worker")
    assert "<script>" in log.inner_text() and page.locator("img, main script").count() == 0
    served.value("web1", "errors")["groups"][0]["count"] = 4
    expect(page.locator("#errors summary")).to_contain_text("4 ×")
    expect(log).to_be_visible()
    assert page.evaluate("document.activeElement.textContent") == "its log" and results_of(page) == 0


def test_the_chosen_span_and_its_table(served, visit):
    """The table has the same figures as the charts, for those who cannot see these."""
    page = opened(visit, served)
    page.locator("text=As a table").click()
    assert page.locator("#visitors tbody tr").count() == 90
    expect(page.locator("#visitors tbody")).to_contain_text("taken back build-43")
    page.get_by_label("day").check()
    expect(page.locator("#visitors tbody tr")).to_have_count(96)
    assert page.locator("#requests .mark").count() == page.locator("#times .mark").count() == 4
    requests, errors, *_ = page.locator("#visitors .figures").inner_text().split(", ")
    day = state.page(served.fleet, served.watched, NOW)["visitors"]["spans"][2]
    assert requests == f"{day['answers']:,} requests" and errors.startswith(f"{day['errors']:,} errors (")


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
        f"shop.example leads elsewhere, since {clock(page, NOW - 700)}"
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


def test_it_says_when_it_has_ended(served, visit):
    page = visit(
        served.address, 1280, expected=["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"]
    )
    page.locator(".host").first.wait_for()
    served.close()
    expect(page.locator("#worst")).to_contain_text(
        "slipway view has ended: nothing here is new any more", timeout=10_000
    )
    assert page.title() == "○ shop: slipway view has ended: nothing here is new any more"


def test_a_report_opens_without_a_network(served, visit, tmp_path):
    """Of a file, with the same figures. What hosts say cannot end the element that has it."""
    served.value("web1", "facts")["notes"] = [EVIL]
    seen = state.page(served.fleet, served.watched, NOW)
    texts = {}
    for name, shown in {"short": without_errors(seen), "whole": seen}.items():
        (tmp_path / f"{name}.html").write_text(report(shown))
        page = visit(f"file://{tmp_path}/{name}.html", 1280)
        page.locator(".host").first.wait_for()
        page.locator("#errors summary").click()
        texts[name] = page.locator("main").inner_text()
        assert page.title() == f"○ shop: saved at {clock(page, NOW)}: nothing here is new any more"
        assert page.locator("img").count() == 0 and page.locator("#age").inner_text() == ""
        expect(page.locator(".host.stale .state").first).to_have_text(f"well at {clock(page, NOW)}")
        assert results_of(page) == 0
    assert "Traceback" in texts["whole"] and "no such item" in texts["whole"] and "/basket/" in texts["whole"]
    assert not re.search("Traceback|no such item|/basket/|answers 503", texts["short"])
    live = opened(visit, served)
    assert live.locator("#visitors .figures").inner_text() in texts["short"]


def results_of(page):
    """Return how many faults axe finds."""
    results = Axe().run(page)
    if results.violations_count:
        print(results.generate_report())
    return results.violations_count
