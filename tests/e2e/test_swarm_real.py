"""The project's own image on a swarm, with Postgres and Redis: pages, migrations, tasks and beat."""

import pytest

from e2e.orders import Orders, doubled
from e2e.swarm import SwarmShop
from proc import wait_until

pytestmark = pytest.mark.rare  # its deploys, with a stand-in, are in test_swarm.py


class Swarmed(Orders, SwarmShop):
    """The app with orders, whose hosts are a swarm."""

    def __init__(self, fleet, folder, project_image):
        Orders.__init__(self, fleet, folder, project_image)
        self.settings |= self.as_swarm() | {"engine.replicas.web": 2}
        for host in self.hosts.values():
            del host["opts"]


@pytest.fixture(scope="module")
def shop(fleet, project_image, tmp_path_factory):
    """build-1 is live, on an empty database."""
    fleet.reset()
    shop = Swarmed(fleet, tmp_path_factory.mktemp("a shop"), project_image)
    shop.provision()
    shop.form()
    shop.stage()
    outcome = shop.roll("deploy", shop.image("build-1"))
    assert outcome.code == 0, outcome.stderr
    return shop


def test_a_release_with_a_migration_drops_no_request_and_no_task(shop):
    """Settings come as a secret, as user 10001 and on a read-only disk; the database changes once; beat takes turns."""
    wait_until(lambda: shop.ids(what="done", release="build-1"), 90, "beat sends, and the worker does it")
    with shop.load() as load:
        outcome = shop.roll("deploy", shop.image("build-2"))
    assert outcome.code == 0, outcome.stderr
    assert not load.result.failures, load.result.summary()
    assert set(load.result.releases) == {"build-1", "build-2"}
    assert "migrate" in [step for step, _ in outcome.steps()]
    known = shop.ids(what="sent")
    wait_until(lambda: shop.done(known), 90, "all that beat has sent is done")
    wait_until(lambda: shop.ids(what="done", release="build-2"), 90, "the new beat and worker go on")
    assert not doubled(shop.journal())
    ran = shop.deploy("run", "web1", "--", "manage", "showmigrations", "--plan")
    assert ran.returncode == 0 and "[ ]" not in ran.stdout and "[X]" in ran.stdout, ran.stderr
