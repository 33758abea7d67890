"""What all tests here share: a clean environment, and where the checkout is."""

import os
import re

import pytest

from proc import ROOT

pytest_plugins = ["services"]

SETTINGS = {"DJANGO_SETTINGS_MODULE", "DATABASE_URL", "CACHE_URL", "BROKER_URL", "SECRET_KEY", "SITE_URL", "RELEASE"}


def pytest_configure():
    """Forget what the make around us, or the shell, has set: its flags and the variables of our .mk files."""
    knobs = {name for path in [ROOT / "Makefile", *ROOT.glob("*.mk")]
             for name in re.findall(r"^(\w+)\s*\?=", path.read_text(), re.MULTILINE)}
    flags = {name for name in os.environ if re.match(r"MAKE|MFLAGS|GNUMAKEFLAGS", name)}
    for name in knobs | flags | SETTINGS:
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT
