"""Tests of the project's own image on one server with SQLite, whose file is kept across releases."""

import json

import pytest

from e2e import checker
from e2e.orders import Orders

pytestmark = pytest.mark.extra
ORDERS = (
    "from project.orders.models import Order; print(list(Order.objects.order_by('pk').values_list('pk', flat=True)))"
)


@pytest.fixture
def shop(fleet, project_image, tmp_path):
    """Deploy the first release, with an empty database file."""
    fleet.reset("web1")
    shop = Orders(fleet, tmp_path, project_image)
    shop.settings["media"], shop.host = "local", fleet.hosts["web1"]
    shop.hosts = {"web1": {"roles": ["web", "worker", "beat"], "opts": "-e ORDERS_HOST=web1"}}
    shop.provision()
    shop.stage()
    shop.set(DATABASE_URL="sqlite:////data/db.sqlite3")
    shop.good("deploy", shop.image("build-1"))
    return shop


def orders(shop):
    """Return the ids of all orders, read by the live release."""
    return json.loads(shop.host.run(f'docker-runner orders manage shell -v 0 -c "{ORDERS}"', timeout=120))


def test_sqlite(shop):
    """Migrations run, and no order is lost while two slots write to one file during a deploy and a rollback. Only the
    app's user can read the file. A second server is refused, because it would have its own file."""
    for words, live in ((["deploy", shop.image("build-2")], "build-2"), (["rollback"], "build-1")):
        before = orders(shop)
        with shop.load() as load:
            shop.good(*words)
        written, after = sum(record.method == "POST" for record in load.result.records), orders(shop)
        assert written > 20 and after[: len(before)] == before and len(after) == len(before) + written
        assert checker.tags(shop) == {live}
    plan = shop.host.run("docker-runner orders manage showmigrations --plan", timeout=120)
    assert "[X]  orders.0001_initial" in plan and "[ ]" not in plan
    assert shop.host.run("stat -c '%U %a' /var/www/orders/data").split() == ["orders", "700"]
    checker.check(shop)
    shop.hosts["work1"] = {"roles": ["worker"]}
    refused = shop.roll("deploy", shop.image("build-2"))
    assert refused.code == 2 and "its own file" in refused.stderr
