"""What all tests here share: a clean environment, and where the checkout is."""

import os
import re
import signal
import sys

import pytest

from proc import ROOT

pytest_plugins = ["services"]

SETTINGS = {"DJANGO_SETTINGS_MODULE", "DATABASE_URL", "CACHE_URL", "BROKER_URL", "SECRET_KEY", "SITE_URL", "RELEASE"}


def pytest_configure():
    """Forget what the make around us, or the shell, has set: its flags and the variables of our .mk files."""
    knobs = {name for path in [ROOT / "Makefile", *ROOT.glob("*.mk"), *ROOT.glob("make/*.mk")]
             for name in re.findall(r"^(\w+)\s*\?=", path.read_text(), re.MULTILINE)}
    flags = {name for name in os.environ if re.match(r"MAKE|MFLAGS|GNUMAKEFLAGS", name)}
    for name in knobs | flags | SETTINGS:
        os.environ.pop(name, None)
    # Where no bytecode is kept each of a thousand processes compiles Django anew: that is most of what it does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Under nohup, or behind a script's "&", these are ignored: so would be what a test sends to whom it has started.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def pytest_sessionfinish(session):
    """In CI on Linux a skipped test fails the run, but for what no machine can be asked to have."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    if os.environ.get("CI") and sys.platform == "linux" and any("not to be had" not in why for why in skipped):
        session.exitstatus = 1
        reporter.write_line("CI: these tests were skipped, and must not be; install what they need", red=True)


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT
