"""Tests of a new project's page, in a browser."""

import os
from pathlib import Path

import pytest

from proc import wait_until

from .conftest import check_looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_looks(visit, development, width, scheme):
    """The page has its styles on a desktop and a phone, in the light and the dark scheme, and lists the parts."""
    page = visit(development, width, scheme)
    check_looks(page)
    assert page.evaluate("getComputedStyle(document.querySelector('.parts')).listStyleType") == "none"
    assert page.locator("#part-database .state").inner_text() == "up"
    assert page.locator("#part-database .ms").inner_text().endswith(" ms")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in paper.strip("rgb()").split(",")) < 380) == (scheme == "dark"), paper


def test_worker_and_beat_turn_alive(visit, site, development):
    """Once worker and beat have started, the page shows them."""
    page = visit(development, 1280)
    tally = "4 of 6 parts are up; not started: worker, beat"
    wait_until(lambda: page.reload() and page.locator("#tally").inner_text() == tally, what=tally)
    assert page.locator("#part-worker .cure").inner_text() == "Type make worker in another terminal."
    assert page.locator("#part-worker .state").inner_text() == "not started"
    with site.celery("worker", "--loglevel=INFO"), site.celery("beat", "--loglevel=INFO"):
        wait_until(lambda: page.reload() and page.locator(".sky[data-state=up]").count(), 180, "worker and beat are up")
        phone = visit(development, 390)
        assert phone.locator("#tally").inner_text() == "All 6 parts are up"
        take_pictures({1280: page, 390: phone})


def take_pictures(pages):
    """Write the pictures of docs/images if SCREENSHOTS names a folder."""
    folder = os.environ.get("SCREENSHOTS")
    for width, page in pages.items() if folder else ():
        page.screenshot(path=Path(folder, f"home-{width}.png"), full_page=True)
