"""The project's own image on one server with SQLite, whose file outlives every release."""

import json

import pytest

from e2e import checker
from e2e.orders import Orders

pytestmark = pytest.mark.extra
ORDERS = ("from project.orders.models import Order;"
          " print(list(Order.objects.order_by('pk').values_list('pk', flat=True)))")


@pytest.fixture
def shop(fleet, project_image, tmp_path):
    """The first release is live, on an empty file."""
    fleet.reset("web1")
    shop = Orders(fleet, tmp_path, project_image)
    shop.settings["media"], shop.host = "local", fleet.hosts["web1"]
    shop.hosts = {"web1": {"roles": ["web", "worker", "beat"], "opts": "-e ORDERS_HOST=web1"}}
    shop.provision()
    shop.stage()
    assert shop.deploy("env", "set", input="DATABASE_URL=sqlite:////data/db.sqlite3\n").returncode == 0
    outcome = shop.roll("deploy", shop.image("build-1"))
    assert outcome.code == 0, outcome.stderr
    return shop


def orders(shop):
    """The ids of all orders, by the release that is live."""
    return json.loads(shop.host.run(f'docker-runner orders manage shell -v 0 -c "{ORDERS}"', timeout=120))


def test_sqlite(shop):
    """Migrations run, and what visitors write while a release comes and goes is there after it, to the last order: two
    slots write to one file. Nobody but the app reads it. A second server would have a file of its own: refused."""
    for words, live in ((["deploy", shop.image("build-2")], "build-2"), (["rollback"], "build-1")):
        before = orders(shop)
        with shop.load() as load:
            outcome = shop.roll(*words)
            result = load.stop()
        assert outcome.code == 0 and not result.failures, outcome.stderr + result.summary()
        written, after = sum(record.method == "POST" for record in result.records), orders(shop)
        assert written > 20 and after[:len(before)] == before and len(after) == len(before) + written
        assert checker.tags(shop) == {live}
    plan = shop.host.run("docker-runner orders manage showmigrations --plan", timeout=120)
    assert "[X]  orders.0001_initial" in plan and "[ ]" not in plan
    assert shop.host.run("stat -c '%U %a' /var/www/orders/data").split() == ["orders", "700"]
    checker.check(shop)
    shop.hosts["work1"] = {"roles": ["worker"]}
    refused = shop.roll("deploy", shop.image("build-2"))
    assert refused.code == 2 and "a file of its own" in refused.stderr
