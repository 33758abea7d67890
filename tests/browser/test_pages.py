"""Test of the error pages, in a browser."""

import pytest

from .conftest import check_looks


@pytest.mark.parametrize("width", [1280, 390])
def test_error_page(visit, deployed, width):
    """An error page looks like the site, also several folders down."""
    page = visit(f"{deployed}/there/is/no/such/page", width, expected=["404"])
    check_looks(page)
    assert page.locator("h1").inner_text() == "There is no such page"
    assert page.locator(".said").inner_text().startswith("Error 404 · request ")
    assert page.locator("a.button").evaluate("(link) => getComputedStyle(link).borderRadius") == "8px"
