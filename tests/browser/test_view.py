"""The page of `slipway view` in a browser: its looks, what stays while it changes, and what hosts may not do to it."""

import itertools
import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from browser.served import EVIL, clock, opened, overflow, results_of
from deployer import test_swarm, viewed
from deployer.viewed import NOW
from slipway.deploy import config
from slipway.deploy.config import Host
from slipway.deploy.view import state
from slipway.deploy.view.own_deploy import OwnDeploy
from slipway.deploy.view.report import report, without_errors
from slipway.deploy.view.watched import Answer, WatchedHost


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
