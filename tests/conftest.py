"""What all tests here share: a clean environment, and where the checkout is."""

import contextlib
import fcntl
import os
import re
import signal
import sys

import hypothesis
import pytest

from proc import ROOT

pytest_plugins = ["sharing", "services", "postgresql"]

# An example may take as long as a machine that has other work lets it.
hypothesis.settings.register_profile("all", deadline=None, database=None,
                                     suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.load_profile("all")

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


def pytest_collection_modifyitems(items):
    """Those marked "alone" come first, in a row: so the others wait for them once. On servers a file's order stays."""
    items.sort(key=lambda item: not is_alone(item) or "e2e" in item.path.parts)


def is_alone(item):
    """Whether no other test may run beside it."""
    return item is not None and item.get_closest_marker("alone") is not None


class Turn:
    """A worker's lock on the tests: shared, or for a row of tests that are alone."""

    def __init__(self):
        self.locks = contextlib.ExitStack()

    def take(self, kind):
        """Who waits for it holds the door: nobody passes before him."""
        tests = self.locks.enter_context(open(__file__))
        with open(ROOT / "tests/pytest.ini") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(tests, kind)


turn, last = Turn(), None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Of several workers, one that has a test marked "alone" waits for the others' tests, and they for it."""
    global last
    if is_worker(item.config) and not (is_alone(last) and is_alone(item)):
        turn.locks.close()
        turn.take(fcntl.LOCK_EX if is_alone(item) else fcntl.LOCK_SH)
    last = item
    try:
        return (yield)
    finally:
        if not (is_alone(item) and is_alone(nextitem)):
            turn.locks.close()


def is_worker(config):
    """Whether this is one of several processes that run the tests."""
    return hasattr(config, "workerinput")


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
