"""Tests of a new project's page, in a browser. A project without project/home does not run them."""

import os
from pathlib import Path

import pytest

ALIVE = 70_000  # milliseconds: beat sends a heartbeat when it starts, and every minute


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_looks(visit, check_looks, development, width, scheme):
    """The page has its styles on a desktop and a phone, in the light and the dark scheme, and lists the parts."""
    page = visit(development, width, scheme)
    check_looks(page)
    assert page.evaluate("getComputedStyle(document.querySelector('.parts')).listStyleType") == "none"
    assert page.locator("#part-database .state").inner_text() == "up"
    assert page.locator("#part-database .ms").inner_text().endswith(" ms")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in paper.strip("rgb()").split(",")) < 380) == (scheme == "dark"), paper


def test_worker_and_beat_turn_alive(visit, site, development):
    """If worker and beat start while the page is open, it shows them within 70 s without a reload. A phone that opens
    the page then shows them too."""
    page = visit(development, 1280)
    page.evaluate("window.notReloaded = true")
    assert page.locator("#part-worker .cure").inner_text() == "Type make worker in another terminal."
    assert page.locator("#part-worker .state").inner_text() == "not started"
    assert page.locator("#tally").inner_text() == "4 of 6 parts are up; not started: worker, beat"
    with site.celery("worker", "--loglevel=INFO"), site.celery("beat", "--loglevel=INFO"):
        for part in ["worker", "beat"]:
            page.wait_for_selector(f"#part-{part}[data-state=up]", timeout=ALIVE)
        page.wait_for_selector(".sky[data-state=up]")
        assert page.locator("#tally").inner_text() == "All 6 parts are up"
        assert page.evaluate("window.notReloaded")
        phone = visit(development, 390)
        assert phone.locator("#tally").inner_text() == "All 6 parts are up"
        take_pictures({1280: page, 390: phone})


def take_pictures(pages):
    """Write the pictures of docs/images if SCREENSHOTS names a folder."""
    folder = os.environ.get("SCREENSHOTS")
    for width, page in pages.items() if folder else ():
        page.wait_for_timeout(3000)  # until the animation has ended
        page.screenshot(path=Path(folder, f"home-{width}.png"), full_page=True)


def test_a_server_that_is_gone(visit, development):
    """A page that gets no answer shows a warning until the server is back."""
    page = visit(development, 1280, expected=["ERR_INTERNET_DISCONNECTED"])
    page.context.set_offline(True)
    page.wait_for_selector("#lost", state="visible")
    page.context.set_offline(False)
    page.wait_for_selector("#lost", state="hidden")
