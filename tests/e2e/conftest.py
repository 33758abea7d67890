"""What the tests on the fleet share."""

import pytest

from e2e import fleet as fleets


@pytest.fixture(scope="session")
def fleet():
    """The fleet of this checkout, as `make fleet` has started it."""
    try:
        return fleets.attach()
    except fleets.FleetError as error:
        pytest.exit(str(error), returncode=2)
