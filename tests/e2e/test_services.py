"""Postgres and Redis that provisioning runs on the app's hosts: no release touches them, and no setting is typed."""

import re
import secrets
import tomllib

import pytest

from documented import block
from e2e import checker
from e2e.fleet import apps
from e2e.orders import JOURNAL, Orders
from proc import ROOT, passed, wait_until
from slipway.fleet.docker import docker

pytestmark = pytest.mark.extra
# Valkey's own image declares no volume, and has its programs also under Redis' names.
VALKEY = b"""\
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends valkey-server && rm -rf /var/lib/apt/lists/* \
    && for name in server cli; do ln -s /usr/bin/valkey-$name /usr/local/bin/redis-$name; done \
    && mkdir /data && chown valkey:valkey /data && chmod 1777 /data
WORKDIR /data
CMD ["valkey-server"]
"""
COUNT = "from project.orders.models import Order; print(Order.objects.count())"


class WithServices(Orders):
    """The app with services of its own. Nobody types their URLs."""

    def __init__(self, fleet, folder, project_image, **hosts):
        super().__init__(fleet, folder, project_image)
        self.settings |= services_of(fleet)
        self.hosts = {
            name: {"roles": roles, "internal": fleet.hosts[name].address, "opts": f"-e ORDERS_HOST={name}"}
            for name, roles in hosts.items()
        }
        data = [fleet.hosts[name] for name, roles in hosts.items() if "postgres" in roles]
        self.data = (data or [fleet.hosts["web1"]])[0]

    def machines(self):
        """Return {name: Host} of all that the app runs on, without those that have only services."""
        return {name: host for name, host in super().machines().items() if "web" in self.hosts[name]["roles"]}

    def stage(self):
        redis = self.fleet.services.redis
        self.fleet.services.run(f"redis-cli -n {JOURNAL} flushdb")
        self.set(
            SITE_URL="http://localhost",
            ALLOWED_HOSTS="orders.example",
            SECRET_KEY=secrets.token_hex(32),
            JOURNAL_URL=f"{redis}/{JOURNAL}",
        )

    def orders(self):
        """Return the number of orders, read by the live release."""
        return int(self.web[0].run(f'docker-runner orders manage shell -v 0 -c "{COUNT}"', timeout=120))

    def running(self):
        """Return for each service when its container started."""
        names = "orders-postgres orders-redis"
        said = self.data.run(f"docker inspect --format '{{{{.Name}}}} {{{{.State.StartedAt}}}}' {names}")
        return dict(line.split() for line in said.splitlines())

    def changed_image(self, line):
        """Push an image of Postgres with a further line of its Dockerfile, under the same name."""
        built(self.fleet, "postgres:17", f"FROM postgres:17\n{line}\n".encode())

    def sql(self, query, database="orders", timeout=60):
        return self.data.run(
            "docker exec -i orders-postgres sh -c "
            "'PGPASSWORD=$POSTGRES_PASSWORD psql -h /run/orders-postgres -U postgres -qAt "
            f"{database}'",
            input=query,
            timeout=timeout,
        ).splitlines()


def built(fleet, name, dockerfile):
    """Build an image and push it under that name. Return the name by which the hosts pull it."""
    own = f"built-{name.replace('/', '-')}"
    docker("build", "--quiet", "--tag", own, "-", input=dockerfile, timeout=600)
    return fleet.registry.push(own, name)


def services_of(fleet):
    """Return the keys of production.toml for services whose images the hosts can pull."""
    images = {"postgres": "postgres:17", "redis": "redis:7"}
    keys = {f"service.{kind}.image": fleet.registry.push(apps.official(image), image) for kind, image in images.items()}
    return {**keys, "service.postgres.memory": "512m"}


@pytest.fixture
def alone(fleet, project_image, tmp_path):
    """One host with everything, and its first release."""
    fleet.reset("web1")
    return started(WithServices(fleet, tmp_path, project_image, web1=["web", "worker", "beat", "postgres", "redis"]))


@pytest.fixture
def apart(fleet, project_image, tmp_path):
    """A host with the app, and another one with the data, as docs/two-servers.md describes them. It has a name, and
    Valkey in place of Redis."""
    fleet.reset("web1", "work1")
    of_page = tomllib.loads(block(ROOT / "docs/two-servers.md", "app ="))["hosts"]
    hosts = {"web1": of_page["web1"]["roles"], "work1": of_page["db1"]["roles"]}
    shop = WithServices(fleet, tmp_path, project_image, **hosts)
    shop.settings["service.redis.image"] = built(fleet, "valkey/valkey:8", VALKEY)
    fleet.hosts["work1"].run(f"echo {shop.data.address} data.internal >>/etc/hosts")
    shop.hosts["work1"]["internal"] = "data.internal"
    shop.hosts["web1"]["opts"] += f" --add-host data.internal:{shop.data.address}"  # as there is no DNS
    return started(shop)


def started(shop):
    shop.provision()
    shop.stage()
    shop.good("deploy", shop.image("build-1"))
    return shop


def deploys_and_rolls_back(shop):
    """No request and no order is lost, and the services go on as they were."""
    running = shop.running()
    for words, live in ((["deploy", shop.image("build-2")], "build-2"), (["rollback"], "build-1")):
        before = shop.orders()
        with shop.load() as load:
            shop.good(*words)
        written = sum(record.method == "POST" for record in load.result.records)
        assert written > 20 and shop.orders() == before + written
        assert checker.tags(shop) == {live}
    assert shop.changes() == 0 and shop.running() == running


def test_on_the_only_host(alone):
    """The app reaches its services by sockets. They come back after a power cut, with all that was written."""
    deploys_and_rolls_back(alone)
    listening = set(re.findall(r" (?:0\.0\.0\.0|\*|\[::\]):(\d+) ", alone.data.run("ss -Htln")))
    assert listening <= {"22", "80"}, listening
    assert alone.sql("SHOW data_checksums; SHOW shared_buffers; SHOW max_connections") == ["on", "128MB", "500"]
    owner = "SELECT datdba::regrole, rolsuper FROM pg_database, pg_roles WHERE datname = 'orders' AND rolname = datname"
    assert alone.sql(owner) == ["orders|f"]
    stranger = alone.data.ssh("docker exec orders-postgres psql -w -h /run/orders-postgres -U postgres -c 'SELECT 1'")
    assert "no password supplied" in stranger.stderr
    written = alone.orders()
    alone.data.power_cut()
    alone.data.power_on()
    ready = "curl -sS --unix-socket /run/orders/nginx.sock -H 'Host: orders.example' 'http://localhost/readyz?beat'"
    wait_until(lambda: '"ready": true' in alone.data.ssh(ready).stdout, 180, "all parts work")
    assert alone.orders() == written


@pytest.mark.rare
def test_fifty_releases_restart_nothing(alone):
    """Nor do they lose an order, or leave volumes."""
    running, tags = alone.running(), ["build-1", alone.image("build-2")]
    before = alone.orders()
    with alone.load(rate=5) as load:
        for _ in range(25):
            alone.good("deploy", tags[1], "--no-bake")
            alone.good("rollback")
    written = sum(record.method == "POST" for record in load.result.records)
    assert alone.running() == running and alone.orders() == before + written > 0
    volumes = alone.data.run("docker volume ls --quiet --filter name=orders-").split()
    assert sorted(volumes) == ["orders-postgres", "orders-redis"]


def test_on_a_host_of_their_own(apart):
    """The data's host takes no part in deploys, and is not open to the world. An upgrade restarts Postgres with the
    newest image of the name, and goes back from one that does not start. With TLS nobody comes in without it."""
    deploys_and_rolls_back(apart)
    assert apart.data.ssh("test -e /etc/default/orders.env").returncode == 1
    assert re.search(r"work1 +redis +8\.\d", passed(apart.deploy("status")).stdout)
    assert re.findall(r"(\S+):5432 ", apart.data.run("ss -Htln")) == [apart.data.address]
    before, written = apart.running(), apart.orders()
    assert "is the newest" in passed(apart.deploy("upgrade", "postgres")).stdout
    apart.changed_image("LABEL newer=1")
    said = passed(apart.deploy("upgrade", "postgres", "--yes")).stdout
    assert re.search(r"postgres 17\.\d+, without an answer for \d+\.\d s\n$", said)
    upgraded = apart.running()
    assert upgraded["/orders-postgres"] > before["/orders-postgres"] and apart.orders() == written
    assert upgraded["/orders-redis"] == before["/orders-redis"] and apart.changes() == 0
    apart.changed_image('ENTRYPOINT ["false"]')
    refused = apart.deploy("upgrade", "postgres", "--yes")
    assert refused.returncode == 1 and "so the old one runs again" in refused.stderr, refused.stderr
    assert apart.orders() == written
    speak_tls(apart)


def speak_tls(shop):
    """Change to TLS, which needs a restart of both services. Orders and tasks go on."""
    shop.settings |= {"service.postgres.tls": True, "service.redis.tls": True}
    shop.provision()
    waits = shop.deploy("status")
    assert waits.returncode == 1 and "run systemctl restart docker-service@orders-redis.service" in waits.stdout
    shop.data.run("systemctl restart docker-service@orders-postgres docker-service@orders-redis")
    shop.good("deploy", "--live")
    before = shop.orders()
    with shop.load(seconds=5) as load:
        load.finish()
    assert shop.orders() > before
    encrypted = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL"
    assert shop.sql(encrypted) == ["t"]
    sent = shop.ids(what="sent")
    wait_until(lambda: (shop.ids(what="sent") - sent) & shop.ids(what="done"), 120, "beat and worker go on")
    addresses = shop.web[0].run("cat /etc/default/orders.services").replace("verify-full", "disable")
    url = re.search("^DATABASE_URL=(.*)&sslrootcert", addresses, re.MULTILINE)[1]
    url = url.replace("data.internal", shop.data.address)  # which Postgres' own container does not know
    plain = shop.data.ssh(f"docker exec orders-postgres psql '{url}' -c 'SELECT 1'")
    assert "no encryption" in plain.stderr, plain.stderr
    assert shop.changes() == 0 and shop.deploy("status").returncode == 0


def test_existing_data_comes_in(fleet, project_image, tmp_path):
    """By the lines of docs/data.md, from a database elsewhere. Until then the app uses that one. A rollback to a
    release of before keeps the new one."""
    fleet.reset("web1")
    shop = Orders(fleet, tmp_path, project_image)
    shop.hosts = {"web1": {**shop.hosts["web1"], "roles": ["web", "worker", "beat"]}}
    started(shop)
    shop.good("deploy", shop.image("build-2"))
    with shop.load(seconds=5) as load:
        load.finish()
    stored = shop.query("SELECT count(*) FROM orders_order")
    shop.hosts["web1"]["roles"] += ["postgres", "redis"]
    shop.settings |= services_of(fleet)
    for line in block(ROOT / "docs/data.md", "slipway provision               # starts").splitlines():
        words = line.partition(" #")[0].split()
        if words[0] == "pg_dump":
            dump = fleet.services.run("su postgres -c 'pg_dump --no-owner --no-acl orders'", timeout=120)
            passed(shop.deploy("dbshell", input=dump))
            assert stored == shop.query("SELECT count(*) FROM orders_order"), "maintenance: nothing is written any more"
        else:
            passed(shop.deploy(*words[1:]))
    assert shop.deploy("dbshell", input="SELECT count(*) FROM orders_order;\n").stdout.split()[2:3] == stored
    shop.query("DROP TABLE orders_order")
    shop.good("rollback")
    assert checker.tags(shop) == {"build-1"}
    with shop.load(seconds=5) as load:
        load.finish()
    assert shop.deploy("status").returncode == 0
