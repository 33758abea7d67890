"""Fixtures of the tests on the fleet."""

import functools
import os

import pytest

from e2e import fleet as fleets
from e2e.fleet import apps
from e2e.scenarios import provisioned, succeed


def pytest_configure(config):
    """Give each of several workers its own fleet."""
    if hasattr(config, "workerinput"):
        os.environ["FLEET"] = str(int(config.workerinput["workerid"].removeprefix("gw")) + 1)


@pytest.fixture(scope="session")
def fleet():
    """Return the fleet of this checkout, which `make fleet` has started."""
    try:
        return fleets.attach()
    except fleets.FleetError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="module")
def shop(fleet, tmp_path_factory):
    """Yield a Shop with a live release. Tests leave it so that the next deploy works, as a last one checks."""
    shop = provisioned(fleet, tmp_path_factory.mktemp("a shop"))
    yield shop
    succeed(shop)


@pytest.fixture(scope="session")
def project_image(fleet):
    """Return project_image(tag), which builds the project's own image by `make build` with the checkout's wheelhouse,
    and returns the name by which hosts pull it. A first build takes minutes, further tags a second."""

    @functools.cache
    def build(tag="build-1"):
        return fleet.registry.push(apps.project(tag), f"shop:{tag}")

    return build
