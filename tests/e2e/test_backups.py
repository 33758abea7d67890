"""Backups of the app's data in a repository on another server: what comes back, by time and by release."""

import json
import re
import shlex
import subprocess
import time
from datetime import datetime

import pytest

from documented import block, commands
from e2e import interrupted, repository, small_disk
from e2e.test_services import WithServices, started
from proc import ROOT, passed, wait_until

pytestmark = pytest.mark.extra
PAGE = ROOT / "docs/backup.md"
OFTEN = 60  # seconds: the least that [backup] accepts


class WithBackups(WithServices):
    """The app with services of its own, and with backups on a server that only keeps files."""

    def __init__(self, fleet, folder, project_image, **hosts):
        super().__init__(fleet, folder, project_image, **hosts)
        self.folder, self.nas = folder, fleet.services
        repository.empty(self.nas)
        self.settings |= {"backup.to": repository.place(self.nas, "orders"), "backup.wal": OFTEN}
        self.settings |= {"media": "local", "service.postgres.memory": "1g"}  # with the defaults, more connections
        self.acquaint()

    def acquaint(self):
        """Let root of the hosts log in at the repository's server, as docs/backup.md says."""
        for host in {self.data, *self.machines().values()}:
            repository.let_in(self.nas, host, PAGE)

    def state(self):
        """Return the state of the backups on the database's host."""
        said = self.data.ssh("cat /var/backups/orders/state.json")
        return json.loads(said.stdout) if said.returncode == 0 else {}

    def succeeds(self, action):
        """Return True if a backup succeeded last. Else raise AssertionError with its record."""
        record = self.state()[action]
        assert not record["problem"], record
        return True

    def until(self):
        """Return the last second that can be brought back."""
        return self.state().get("wal", {}).get("until", 0)

    def sent(self):
        """Have sent all that the database has now, without a wait for the timers."""
        at = self.now()
        self.data.run("docker-backup wal orders", timeout=120)  # after one that runs
        next(iter(self.machines().values())).run("docker-backup files orders", timeout=120)
        assert self.until() > at

    def sends(self):
        """Wait until the timer has sent what the database has now."""
        at = self.now()
        wait_until(lambda: self.until() > at, 2 * OFTEN, f"WAL up to {at} is sent")

    def now(self):
        """Return the time by the database's clock, in seconds."""
        return float(self.sql("SELECT extract(epoch FROM clock_timestamp())")[0])

    def numbers(self):
        """Return the ids of the orders."""
        return [int(id) for id in self.sql("SELECT id FROM orders_order ORDER BY id")]

    def line(self, first):
        """Return the words of the page's command that begins so, without "slipway" and the comment."""
        [line] = [line for line in commands(PAGE) if line.startswith(f"slipway {first}")]
        return shlex.split(line)[1:]

    def serves(self):
        """Visitors send orders, and each answer is right."""
        before = len(self.numbers())
        with self.load(seconds=3) as load:
            load.finish()
        assert len(self.numbers()) > before


def begun(shop):
    """Return the shop with its first release, and a base backup."""
    started(shop)
    wait_until(lambda: shop.state().get("base", {}).get("label"), 240, "a base backup")
    keys = shop.nas.run(f"ls {repository.FOLDER}/orders/files/keys").split()
    assert len(keys) == 1, "one host has made the repository"
    return shop


@pytest.fixture
def alone(fleet, project_image, tmp_path):
    """One host with everything."""
    fleet.reset("web1")
    roles = ["web", "worker", "beat", "postgres", "redis"]
    return begun(WithBackups(fleet, tmp_path, project_image, web1=roles))


def test_on_the_only_host(alone):
    """Orders come back by time; a table that a migration dropped, by release. The services go on when
    backups do, and a rollback goes on after a restore."""
    shop = alone
    assert shop.changes() == 0
    shop.serves()
    early, at = shop.numbers(), shop.now()
    time.sleep(1)
    shop.serves()
    shop.sent()
    assert "there is no drill yet" in shop.deploy("status").stdout
    drilled = passed(shop.deploy("drill")).stdout
    assert re.search(r"[\d,]+ rows of \d+ tables are back in", drilled), drilled
    assert re.search(r"the live release finds its [1-9]\d+ migrations", drilled), drilled
    said = passed(shop.deploy("status")).stdout
    assert re.search(r"web1: backup \d+ (s|min) old, drilled ", said), said
    assert "the password of the backups is on this host alone" in said
    password = shop.data.run("sed -n s/^RESTIC_PASSWORD=//p /etc/default/orders.backup")
    assert "the password is right" in passed(shop.deploy("backup", "--password", input=password)).stdout
    assert "alone" not in shop.deploy("status").stdout
    words = shop.line('restore --at "2026')
    passed(shop.deploy(*[written(at) if word.startswith("2026") else word for word in words], "--yes"))
    assert shop.numbers() == early
    shop.serves()
    by_release(shop)
    what_else_the_page_says(shop)


def by_release(shop):
    """Go back to just before a release that has dropped what the release before needs."""
    before = shop.numbers()
    shop.good("deploy", shop.image("build-2"))
    shop.sql("DROP TABLE orders_order CASCADE")
    shop.sent()
    refused = shop.deploy(*[word.replace("42", "2") for word in shop.line("restore --at before")], "--yes")
    assert refused.returncode == 2 and "which the restored database lacks: run slipway rollback" in refused.stderr
    shop.good("rollback")
    passed(shop.deploy("restore", "--swap", "--yes"))
    assert shop.numbers() == before
    shop.serves()


def what_else_the_page_says(shop):
    """A list, the log and a dump."""
    listed = passed(shop.deploy(*shop.line("backups"))).stdout.splitlines()
    assert listed[0].split() == ["any", "second", "from", "to", "database", "loses"] and len(listed) > 3
    assert "copying the database" in passed(shop.deploy(*shop.line("logs"))).stdout
    path = shop.folder / "shop.dump"
    said = passed(shop.deploy("dump", str(path)))
    assert re.search(r"shop.dump: \d+\.\d MB", said.stdout) and oct(path.stat().st_mode)[-3:] == "600"
    shop.sql("CREATE DATABASE loaded")
    words = next(line for line in commands(PAGE) if line.startswith("pg_restore")).split()[:-2]
    load = f"PGPASSWORD=$POSTGRES_PASSWORD {' '.join(words)} -h /run/orders-postgres -U postgres --dbname=loaded"
    ssh = ["ssh", "-F", shop.data.ssh_config, "-l", "root", shop.data.name]
    with open(path, "rb") as dump:
        subprocess.run([*ssh, f"docker exec -i orders-postgres sh -c '{load}'"], stdin=dump, check=True, timeout=120)
    [count] = shop.sql("SELECT count(*) FROM orders_order", "loaded")
    assert int(count) == len(shop.numbers())


def written(at):
    """Return a time in seconds as a person types it, in parts of a second."""
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S.%f}"


def test_the_server_is_lost(alone):
    """A new one gets all up to the last second that was sent, by the page's lines, from the project, the repository and
    the password. Without that, nothing is written there."""
    shop = alone
    media = "/var/www/orders/media"
    shop.data.run(f"mkdir -p {media}/in && echo a picture >{media}/in/picture.png")
    shop.serves()
    before = shop.numbers()
    shop.sent()
    password = shop.data.run("sed -n s/^RESTIC_PASSWORD=//p /etc/default/orders.backup")
    shop.fleet.reset("web1")
    shop.acquaint()
    [fails, types, provisions, restores, deploys] = block(PAGE, "slipway provision               # fails").splitlines()
    refused = shop.deploy(*typed(fails))
    assert refused.returncode == 1 and "wrong password or no key found: type it by" in refused.stderr, refused.stderr
    assert "the password is right" in passed(shop.deploy(*typed(types), input=password)).stdout
    passed(shop.deploy(*typed(provisions)))
    wait_until(lambda: shop.state().get("base", {}).get("problem"), 60, "the empty database is not sent")
    assert "has backups of another database of orders: bring that back by" in shop.state()["base"]["problem"]
    wait_until(lambda: shop.state().get("files", {}).get("problem"), 60, "its empty folder is not sent")
    assert "has files of another server of orders: bring them here by" in shop.state()["files"]["problem"]
    restored = passed(shop.deploy(*typed(restores))).stdout
    assert "the release then was build-1" in restored and shop.numbers() == before
    assert shop.data.run(f"cat {media}/in/picture.png") == "a picture\n"
    shop.good(*[word.replace("42", "1") for word in typed(deploys)])
    shop.serves()
    for action in ("base", "files"):
        wait_until(lambda action=action: shop.succeeds(action), 120, f"{action} is sent again")
    assert shop.deploy("drill").returncode == 0


def typed(line):
    """Return the words of a line after "slipway", without its comment."""
    return shlex.split(line.partition(" #")[0])[1:]


@pytest.fixture
def apart(fleet, project_image, tmp_path):
    """A host with the app, and another one with the data."""
    fleet.reset("web1", "work1")
    return begun(
        WithBackups(fleet, tmp_path, project_image, web1=["web", "worker", "beat"], work1=["postgres", "redis"])
    )


def test_faults(apart):
    """Whatever breaks, the site serves, no deploy fails, and one line says what is wrong."""
    shop = apart
    shop.serves()
    the_place_is_gone(shop)
    the_place_is_full(shop)
    the_place_forgets(shop)
    interrupted.restores_that_end_early(shop)
    interrupted.restores_that_are_killed(shop)
    interrupted.swaps_that_are_killed(shop)
    a_deploy_does_not_wait(shop)
    the_nightly_copy_is_off(shop)
    shop.data.power_cut()
    shop.data.power_on()
    wait_until(lambda: shop.deploy("dbshell", input="SELECT 1").returncode == 0, 120, "the database is back")
    shop.serves()
    shop.sends()


@pytest.mark.rare
def test_a_small_disk(apart):
    small_disk.gets_full(apart)


def the_place_is_gone(shop):
    """While the repository is away, one line says so."""
    repository.take_away(shop.nas)
    failed = shop.deploy("backup")
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1, failed.stderr
    wait_until(lambda: shop.state()["wal"]["problem"], 2 * OFTEN, "WAL is not sent")
    status = shop.deploy("status")
    assert status.returncode == 1 and "backup: wal: sftp:" in status.stdout, status.stdout
    assert shop.deploy("watch", "--once").returncode == 1
    shop.serves()
    repository.bring_back(shop.nas)
    wait_until(lambda: shop.succeeds("wal"), 2 * OFTEN, "WAL is sent again")


def the_place_is_full(shop):
    """One line says so. Once there is room, backups go on."""
    with shop.nas.full(repository.FOLDER):
        failed = shop.deploy("backup")
        assert failed.returncode == 1 and failed.stderr.count("\n") == 1, failed.stderr
        assert "backup: base: sftp:" in shop.deploy("status").stdout
        shop.serves()
    passed(shop.deploy("backup"))


def the_place_forgets(shop):
    """A segment of WAL is lost there: one line says since when no second can be restored, and a base backup begins by
    itself."""
    shop.sent()
    first = shop.state()["base"]["label"]
    shop.nas.run(f"rm $(find {repository.FOLDER}/orders/database/archive -name '0*.zst' | sort | tail -n 1)")
    wait_until(lambda: "no second after" in shop.state()["wal"]["problem"], 3 * OFTEN, "the gap is noticed")
    wait_until(lambda: shop.state()["base"].get("label", first) != first, 4 * OFTEN, "a new base backup")
    shop.sends()


def a_deploy_does_not_wait(shop):
    """Without docker-backup a deploy warns, and succeeds."""
    shop.data.run("mv /usr/local/bin/docker-backup /root/")
    deployed = shop.deploy("deploy", shop.image("build-2"))
    assert deployed.returncode == 0 and "slipway restore will not know the commit of build-2" in deployed.stdout
    shop.data.run("mv /root/docker-backup /usr/local/bin/")
    shop.serves()


def the_nightly_copy_is_off(shop):
    """Somebody has disabled it. Status and watch shout at once, and of its age after two days, which the record says
    here: nobody's clock is moved. Provisioning sets the timer up again."""
    shop.data.run("systemctl disable --now docker-backup-base@orders.timer")
    status = shop.deploy("status")
    assert status.returncode == 1 and "the timer of base does not run: slipway provision" in status.stdout
    assert shop.deploy("watch", "--once").returncode == 1
    assert shop.changes() > 0 and "the timer of base" not in shop.deploy("status").stdout
    state = shop.state()
    state["base"]["at"] -= 50 * 3600
    shop.data.write("/var/backups/orders/state.json", json.dumps(state))
    status = shop.deploy("status")
    assert status.returncode == 1 and "the newest base backup is 2 days old" in status.stdout, status.stdout
    passed(shop.deploy("backup"))
    assert "the newest base backup" not in shop.deploy("status").stdout
