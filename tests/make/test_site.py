"""Tests of the manual's site: it is built from the checkout's pages as they are, and no link of them is wrong."""

import sys

import pytest

from proc import ROOT
from slipway.deploy.__main__ import COMMANDS
from slipway.make import site


@pytest.fixture
def built(tmp_path):
    """Return a function that builds the site, after `change` of its sources, and returns Sphinx's exit code."""

    def build(change=lambda source: None):
        site.write(tmp_path / "source", True)
        change(tmp_path / "source")
        return site.build(sys.executable, tmp_path / "source", tmp_path / "html", True)

    return build


def test_every_page_and_command_has_its_place(built, tmp_path):
    """Every page is in the navigation, else Sphinx warns. A command's page is its --help."""
    assert built() == 0
    first = (tmp_path / "html/README.html").read_text()
    assert "search.html" in first and "theme-toggle" in first and "docs/images" not in first
    for page in (ROOT / "docs").glob("*.md"):
        assert f'href="docs/{page.stem}.html"' in first, page
    for name in COMMANDS:
        assert f"usage: slipway {name}" in (tmp_path / f"html/commands/{name}.html").read_text()
    assert "usage: slipway env set-file" in (tmp_path / "html/commands/env.html").read_text()


def test_a_wrong_link_is_an_error(built, capfd):
    def change(source):
        (source / "docs/ci.md").write_text("# CI\n\n[a](nowhere.md), [b](make.md#nowhere), [c](lost.toml)\n")
        (source / "docs/lost.md").write_text("# Lost\n")

    assert built(change) != 0
    warnings = capfd.readouterr().err
    for cause in ("nowhere.md", "'nowhere'", "lost.toml", "docs/lost.md: WARNING: document isn't included"):
        assert cause in warnings
