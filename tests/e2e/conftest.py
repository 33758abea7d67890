"""What the tests on the fleet share."""

import fcntl
import functools
import os

import pytest

from e2e import fleet as fleets
from e2e.fleet.names import of_checkout
from proc import ROOT, run


def pytest_configure(config):
    """Each of several workers has a fleet of its own."""
    if hasattr(config, "workerinput"):
        os.environ["FLEET"] = str(int(config.workerinput["workerid"].removeprefix("gw")) + 1)


@pytest.fixture(scope="session")
def fleet():
    """The fleet of this checkout, as `make fleet` has started it."""
    try:
        return fleets.attach()
    except fleets.FleetError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="session")
def project_image(fleet):
    """project_image(tag): the project's own image as that release, made by `make build` with the checkout's wheelhouse;
    what hosts pull it as. The first takes minutes where nothing of it was ever built here, another tag a second."""
    @functools.cache
    def build(tag="build-1"):
        image = f"{of_checkout().fleet}-shop"
        clean = "REVISION=" + "0" * 40  # or a checkout with changes could not be tested
        with open(ROOT / "Dockerfile") as door:  # two builds of one checkout would write the same verdicts
            fcntl.flock(door, fcntl.LOCK_EX)
            done = run(["make", "build", "APP=shop", f"IMAGE={image}", f"TAG={tag}", clean], timeout=1800, cwd=ROOT)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return fleet.registry.push(f"{image}:{tag}", f"shop:{tag}")
    return build


@pytest.fixture
def measured(request):
    """measured(name, seconds): all such figures are shown after the tests."""
    def note(name, seconds):
        request.node.user_properties.append(("measured", f"{name} {seconds:.1f}"))
    return note


def pytest_terminal_summary(terminalreporter):
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, text in report.user_properties if report.when == "call" else []:
            terminalreporter.write_line(f"{name}: {text}")
