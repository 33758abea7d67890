"""Backups of the app's data in a repository on another server: what comes back, by time and by release."""

import json
import re
import shlex
import time
from datetime import datetime

import pytest

from documented import commands
from e2e.test_services import WithServices, started
from proc import ROOT, passed, wait_until

pytestmark = pytest.mark.extra
PAGE = ROOT / "docs/backup.md"
NAS = "/srv/nas"  # the folder of repositories on the server that has them
OFTEN = 60  # seconds: the least that [backup] accepts


class WithBackups(WithServices):
    """The app with services of its own, and with backups on a server that only keeps files."""

    def __init__(self, fleet, folder, project_image, **hosts):
        super().__init__(fleet, folder, project_image, **hosts)
        self.nas = fleet.services
        self.nas.run(f"rm -rf {NAS} && mkdir -p {NAS}")
        self.settings |= {"backup.to": f"sftp:root@{self.nas.address}:{NAS}/orders", "backup.wal": OFTEN}
        self.settings |= {"media": "local"}
        self.acquaint()

    def acquaint(self):
        """Let root of the hosts log in at the repository's server, as docs/backup.md says."""
        for host in {self.data, *self.machines().values()}:
            host.run("test -e .ssh/id_ed25519 || ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519")
            self.nas.run("cat >>.ssh/authorized_keys", input=host.run("cat .ssh/id_ed25519.pub"))
            host.run(f"ssh-keyscan -t ed25519 {self.nas.address} 2>/dev/null >>.ssh/known_hosts")

    def state(self):
        """Return the state of the backups on the database's host."""
        said = self.data.ssh("cat /var/backups/orders/state.json")
        return json.loads(said.stdout) if said.returncode == 0 else {}

    def until(self):
        """Return the last second that can be brought back."""
        return self.state().get("wal", {}).get("until", 0)

    def sent(self, at):
        """Wait until what the database had at this time can be brought back."""
        wait_until(lambda: self.until() > at, 3 * OFTEN, f"WAL up to {at} is sent")

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
    wait_until(lambda: shop.state().get("base", {}).get("tags"), 180, "a base backup")
    return shop


@pytest.fixture
def alone(fleet, project_image, tmp_path):
    """One host with everything."""
    fleet.reset("web1")
    roles = ["web", "worker", "beat", "postgres", "redis"]
    return begun(WithBackups(fleet, tmp_path, project_image, web1=roles))


def test_on_the_only_host(alone):
    """What visitors ordered comes back by time; a table that a migration dropped, by release. The services go on when
    backups do, and a rollback goes on after a restore."""
    shop = alone
    shop.serves()
    early, at = shop.numbers(), shop.now()
    time.sleep(1)
    shop.serves()
    shop.sent(shop.now())
    assert "there is no drill yet" in shop.deploy("status").stdout
    drilled = passed(shop.deploy("drill")).stdout
    assert re.search(r"[\d,]+ rows of \d+ tables are back in", drilled), drilled
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


def by_release(shop):
    """Go back to just before a release that has dropped what the release before needs."""
    before = shop.numbers()
    shop.good("deploy", shop.image("build-2"))
    shop.sql("DROP TABLE orders_order CASCADE")
    shop.sent(shop.now())
    refused = shop.deploy(*[word.replace("42", "2") for word in shop.line("restore --at before")], "--yes")
    assert refused.returncode == 1 and "which the restored database lacks: run slipway rollback" in refused.stderr
    shop.good("rollback")
    passed(shop.deploy("restore", "--swap", "--yes"))
    assert shop.numbers() == before
    shop.serves()


def written(at):
    """Return a time in seconds as a person types it, in parts of a second."""
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S.%f}"
