"""Shared by all tests here: a clean environment, the lock for tests marked "alone", and the checkout's path."""

import contextlib
import fcntl
import os
import re
import signal
import sys

import hypothesis
import pytest

from proc import ROOT

os.environ.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # this machine's mirrors may have a part of PyPI each
pytest_plugins = ["sharing", "services", "postgresql"]

# Slowness fails no Hypothesis test.
hypothesis.settings.register_profile(
    "all", max_examples=150, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)
hypothesis.settings.register_profile(
    "mutants",
    hypothesis.settings.get_profile("all"),
    derandomize=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)  # for mutants.py: the same examples each time
hypothesis.settings.load_profile("all")

SETTINGS = {"DJANGO_SETTINGS_MODULE", "DATABASE_URL", "CACHE_URL", "BROKER_URL", "SECRET_KEY", "SITE_URL", "RELEASE"}


def pytest_configure():
    """Remove the variables that an outer make or the shell has set: make's flags and our .mk files' variables."""
    knobs = {
        name
        for path in [ROOT / "Makefile", ROOT / "tests/template.mk", *ROOT.glob("*.mk")]
        for name in re.findall(r"^(\w+)\s*\?=", path.read_text(), re.MULTILINE)
    }
    flags = {name for name in os.environ if re.match(r"MAKE|MFLAGS|GNUMAKEFLAGS", name)}
    workers = {name for name in os.environ if name.startswith("PYTEST_XDIST_")}  # commands in a test are no workers
    for name in knobs | flags | workers | SETTINGS:
        os.environ.pop(name, None)
    # Without cached bytecode each of a thousand processes would compile Django again, which takes most of its time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Under nohup, or behind a script's "&", these signals are ignored, and a test's processes would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    """Sort tests marked "alone" first, so that other tests wait for them once. On servers a file keeps its order."""
    items.sort(key=lambda item: not is_alone(item) or "e2e" in item.path.parts)


def is_alone(item):
    """Return True if no other test may run beside it."""
    return item is not None and item.get_closest_marker("alone") is not None


# A worker's lock for its tests: shared, or exclusive for a row of tests marked "alone".
turn, last = contextlib.ExitStack(), None


def take_turn(kind):
    """Take the lock. A worker that waits for it holds the door's lock, so that no later worker gets ahead."""
    tests = turn.enter_context(open(__file__))  # noqa: SIM115  the stack closes it
    with open(ROOT / "tests/pytest.ini") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(tests, kind)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """A worker with a test marked "alone" waits for the other workers' tests, and they wait for that test."""
    global last  # noqa: PLW0603  a hook has no other place
    if hasattr(item.config, "workerinput") and not (is_alone(last) and is_alone(item)):
        turn.close()
        take_turn(fcntl.LOCK_EX if is_alone(item) else fcntl.LOCK_SH)
    last = item
    try:
        return (yield)
    finally:
        if not (is_alone(item) and is_alone(nextitem)):
            turn.close()


def pytest_sessionfinish(session):
    """Fail a run in CI on Linux that skipped a test, unless the test needs something that is "not to be had"."""
    if hasattr(session.config, "workerinput"):  # one of several processes that run the tests
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    if os.environ.get("CI") and sys.platform == "linux" and any("not to be had" not in why for why in skipped):
        session.exitstatus = 1
        reporter.write_line("CI: these tests were skipped, and must not be; install what they need", red=True)
