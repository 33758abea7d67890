"""Tests of the admin and the error pages, in a browser."""

import pytest

from .conftest import PASSWORD, check_looks


@pytest.mark.parametrize("width", [1280, 390])
def test_error_page(visit, deployed, width):
    """An error page looks like the site, also several folders down."""
    page = visit(f"{deployed}/there/is/no/such/page", width, expected=["404"])
    check_looks(page)
    assert page.locator("h1").inner_text() == "There is no such page"
    assert page.locator(".said").inner_text().startswith("Error 404 · request ")
    assert page.locator("a.button").evaluate("(link) => getComputedStyle(link).borderRadius") == "8px"


def test_admin(visit, development):
    """A superuser signs in to the admin, searches for a user and opens it, all under our Content-Security-Policy."""
    page = visit(f"{development}/admin/", 1280)
    page.fill("#id_username", "ann")
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    page.click("#content a[href$='/accounts/user/']")
    page.fill("#searchbar", "ann")
    page.press("#searchbar", "Enter")
    page.click("#result_list tbody th a")
    assert page.locator("#id_email").input_value() == "ann@example.org"
    page.wait_for_selector(".selector-chooseall, .selector-add")  # made by the admin's own scripts
