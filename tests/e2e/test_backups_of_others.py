"""Backups of databases that no service of the app has: SQLite, and one elsewhere; and of another major version."""

import re
import shlex

import pytest

from documented import block
from e2e.orders import Orders
from e2e.test_backups import PAGE, WithBackups, begun
from e2e.test_services import built
from proc import ROOT, passed, run, wait_until

pytestmark = pytest.mark.extra
# As the official image of that version has it. Debian has no packages of two versions.
OLD_POSTGRES = b"""\
FROM debian:bookworm-slim
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-15 \
    && rm -rf /var/lib/apt/lists/* && mkdir -p /var/lib/postgresql/data \
    && chown postgres:postgres /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres"]
"""


@pytest.mark.rare
def test_sqlite(fleet, project_image, tmp_path):
    """Its copy comes back by the page's lines, with uploads."""
    fleet.reset("web1")
    shop = WithBackups(fleet, tmp_path, project_image, web1=["web", "worker", "beat"])
    shop.settings = {name: value for name, value in shop.settings.items() if not name.startswith("service.")}
    shop.provision()
    Orders.stage(shop)
    shop.set(DATABASE_URL="sqlite:////data/db.sqlite3")
    shop.good("deploy", shop.image("build-1"))
    with shop.load(seconds=3) as load:
        load.finish()
    before = shop.orders()
    passed(shop.deploy("backup"))
    with shop.load(seconds=3) as load:
        load.finish()
    assert shop.orders() > before
    lines = block(PAGE, "set -a;").replace("sftp:backup@nas.example:shop", shop.settings["backup.to"])
    shop.data.run("set -e\n" + lines.replace("shop", "orders"), timeout=120)
    wait_until(lambda: shop.orders() == before, 60, "the orders are back")
    assert "backup" in shop.deploy("status").stdout


@pytest.mark.rare
def test_a_database_elsewhere(fleet, project_image, tmp_path):
    """A dump of it is kept each day, and comes here by the page's lines. What fails is told."""
    fleet.reset("web1")
    shop = WithBackups(fleet, tmp_path, project_image, web1=["web", "worker", "beat"])
    image = shop.settings["service.postgres.image"]
    shop.settings = {name: value for name, value in shop.settings.items() if not name.startswith("service.")}
    shop.settings["backup.dump"] = image
    shop.provision()
    Orders.stage(shop)
    shop.good("deploy", shop.image("build-1"))
    with shop.load(seconds=3) as load:
        load.finish()
    passed(shop.deploy("backup"))
    assert re.search(r"^dump: 20", passed(shop.deploy("backups")).stdout, re.MULTILINE)
    words = [*shop.line("dump --at")[:-1], tmp_path / "shop.dump"]
    passed(shop.deploy(*words))
    restore = ["--entrypoint=pg_restore", "postgres:17", "--data-only", "--table=orders_order", "--file=-"]
    with open(words[-1], "rb") as dump:
        rows = passed(run(["docker", "run", "--rm", "--interactive", *restore], stdin=dump))
    stored = shop.query("SELECT count(*) FROM orders_order")
    assert [str(len(re.findall(r"^\d+$", rows.stdout, re.MULTILINE)))] == stored != ["0"]
    shop.set(DATABASE_URL="postgres://nobody:a-secret@localhost:1/x")
    shop.data.run("cp /etc/default/orders.env.next /etc/default/orders.env")
    failed = shop.deploy("backup")
    assert failed.returncode == 1 and "pg_dump: " in failed.stderr and "a-secret" not in failed.stderr
    assert "backup: dump: pg_dump: " in shop.deploy("status").stdout


@pytest.mark.rare
def test_another_major_version(fleet, project_image, tmp_path):
    """By the lines of docs/data.md. Before them, provisioning refuses the image, and the site goes on."""
    fleet.reset("web1")
    shop = WithBackups(fleet, tmp_path, project_image, web1=["web", "worker", "beat", "postgres", "redis"])
    newer = shop.settings["service.postgres.image"]
    shop.settings["service.postgres.image"] = built(fleet, "postgres:15", OLD_POSTGRES)
    begun(shop)
    with shop.load(seconds=5) as load:
        load.finish()
    written = shop.orders()
    shop.settings["service.postgres.image"] = newer
    refused = shop.deploy("provision")
    assert refused.returncode == 1 and "has data of Postgres 15" in refused.stdout + refused.stderr
    assert shop.orders() == written > 0
    lines = block(ROOT / "docs/data.md", "slipway maintenance on\nslipway dump")
    lines = lines.replace("shop-postgres", "orders-postgres").replace("shop.dump", f"{tmp_path}/shop.dump")
    for line in lines.splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "ssh":
            shop.data.run(words[2])
        elif words[0] == "pg_restore":
            sql = passed(run(words[: words.index("|")], timeout=60, cwd=shop.checkout)).stdout
            passed(shop.deploy("dbshell", input=sql))
        else:
            passed(shop.deploy(*words[1:]))
    assert shop.sql("SHOW server_version_num")[0].startswith("17") and shop.orders() == written
    with shop.load(seconds=5) as load:
        load.finish()
    assert shop.orders() > written
    mixed = shop.deploy("backup")
    assert mixed.returncode == 1 and "has backups of another database of orders" in mixed.stderr, mixed.stderr
    passed(shop.deploy("backup", "--new"))
    shop.sends()
    said = shop.provision()
    assert said.startswith("0 changes"), said
