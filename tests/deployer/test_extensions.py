"""Extensions of Postgres in production.toml."""

import pytest

from deployer.conftest import fleet_of
from deployer.test_backup import ALONE
from slipway.deploy.errors import Refused
from slipway.deploy.server import services


def test_extensions(data):
    service = {"postgres": {"extensions": ["postgis", "uuid-ossp"]}}
    fleet = fleet_of(data, {"hosts": ALONE, "service": service})
    assert "\nEXTENSIONS='postgis uuid-ossp'\n" in services.description(fleet, fleet.services[0], "").content
    for wrong, problem in (
        ({"postgres": {"extensions": ["x'; DROP"]}}, "service.postgres.extensions"),
        ({"redis": {"extensions": ["x"]}}, "service.redis.extensions: only Postgres has extensions"),
    ):
        with pytest.raises(Refused) as error:
            fleet_of(data, {"hosts": ALONE, "service": wrong})
        assert problem in str(error.value)
