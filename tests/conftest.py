"""What all tests here share: a clean environment, and where the checkout is."""

import contextlib
import fcntl
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
    workers = {name for name in os.environ if name.startswith("PYTEST_XDIST_")}  # what a test starts is no worker
    for name in knobs | flags | workers | SETTINGS:
        os.environ.pop(name, None)
    # Where no bytecode is kept each of a thousand processes compiles Django anew: that is most of what it does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Under nohup, or behind a script's "&", these are ignored: so would be what a test sends to whom it has started.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Of several workers, one that has a test marked "alone" waits for the others' tests, and they for it."""
    with contextlib.ExitStack() as stack:
        if is_worker(item.config):
            take_turn(stack, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        return (yield)


def is_worker(config):
    """Whether this is one of several processes that run the tests."""
    return hasattr(config, "workerinput")


def take_turn(stack, kind):
    """Lock the tests until the stack closes. Who waits for that holds the door: nobody passes before him."""
    tests = stack.enter_context(open(__file__))
    with open(ROOT / "tests/pytest.ini") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(tests, kind)


def pytest_sessionfinish(session):
    """In CI on Linux a skipped test fails the run, but for what no machine can be asked to have."""
    if is_worker(session.config):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    if os.environ.get("CI") and sys.platform == "linux" and any("not to be had" not in why for why in skipped):
        session.exitstatus = 1
        reporter.write_line("CI: these tests were skipped, and must not be; install what they need", red=True)


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT
