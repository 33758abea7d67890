"""The project's own image on one server with SQLite: the file is where the settings say, and outlives every release."""

import json

import pytest

from e2e import checker
from e2e.orders import Orders

ALL = ["web", "worker", "beat"]
URL = "DATABASE_URL=sqlite:////data/db.sqlite3\n"


class OneServer(Orders):
    """The app on a single server, with uploads there."""

    def __init__(self, fleet, folder, project_image):
        super().__init__(fleet, folder, project_image)
        self.settings["media"] = "local"
        self.hosts, self.host = {"web1": {"roles": ALL, "opts": "-e ORDERS_HOST=web1"}}, fleet.hosts["web1"]

    def stage(self):
        super().stage()
        done = self.deploy("env", "set", input=URL)
        assert done.returncode == 0, done.stderr

    def orders(self):
        """The ids of all orders, by the release that is live."""
        said = "print(list(Order.objects.order_by('pk').values_list('pk', flat=True)))"
        return json.loads(self.host.run("docker-runner orders manage shell -v 0 -c"
                                        f" \"from project.orders.models import Order; {said}\"", timeout=120))


@pytest.fixture
def shop(fleet, project_image, tmp_path):
    fleet.reset("web1")
    shop = OneServer(fleet, tmp_path, project_image)
    shop.provision()
    shop.stage()
    return shop


def test_sqlite_on_one_server(shop):
    """Migrations run, and what visitors write while a release comes and goes is there after it, to the last order: two
    slots write to one file. Nobody but the app reads it. A second server would have a file of its own: refused."""
    first = shop.roll("deploy", shop.image("build-1"))
    assert first.code == 0, first.stderr
    for words, live in ((["deploy", shop.image("build-2")], "build-2"), (["rollback"], "build-1")):
        before = shop.orders()
        with shop.load() as load:
            outcome = shop.roll(*words)
            result = load.stop()
        assert outcome.code == 0 and not result.failures, outcome.stderr + result.summary()
        written, after = sum(record.method == "POST" for record in result.records), shop.orders()
        assert written > 20 and after[:len(before)] == before and len(after) == len(before) + written
        assert checker.tags(shop) == {live}
    plan = shop.host.run("docker-runner orders manage showmigrations --plan", timeout=120)
    assert "[X]  orders.0001_initial" in plan and "[ ]" not in plan
    assert shop.host.run("stat -c '%U %a' /var/www/orders/data").split() == ["orders", "700"]
    checker.check(shop)
    shop.hosts["work1"] = {"roles": ["worker"]}
    refused = shop.roll("deploy", shop.image("build-2"))
    assert refused.code == 2 and "a file of its own" in refused.stderr
