"""What the tests on the fleet share."""

import functools
import os

import pytest

from e2e import fleet as fleets
from e2e.fleet import apps


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
        return fleet.registry.push(apps.project(tag), f"shop:{tag}")
    return build
