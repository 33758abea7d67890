"""The project's own image with an app such as a team adds (tests/e2e/apps/orders), on provisioned hosts, and its
journal of tasks and of beat."""

import json
import secrets
from collections import Counter
from itertools import groupby, pairwise

from e2e import checker
from e2e.fleet.apps import APPS
from e2e.provisioned import Project
from e2e.rollouts import Shop
from proc import ROOT, wait_until
from slipway.fleet.docker import build, content_of, docker
from slipway.fleet.names import of_folder

PERIOD = 2  # seconds, of beat's entry
SLACK = 0.5  # seconds that a busy machine may need between beat's decision and its line in the journal
LIMITS = {"rollout.canary": 1, "rollout.bake": 3}
JOURNAL = 5  # the number of Redis's database


class Orders(Shop):
    """The app on three hosts, with releases of the project's own image: build-1, and build-2 with another migration,
    task and file. `host` runs worker and beat; `context` is the folder that is built on the project's image."""

    def __init__(self, fleet, folder, project_image):
        Project.__init__(self, fleet, folder, "orders", f"{fleet.registry.address}/orders", **LIMITS)
        self.project_image, self.images, self.context = project_image, set(), APPS / "orders"
        self.host = fleet.hosts["work1"]
        for name, host in self.hosts.items():
            host["opts"] = f"-e ORDERS_HOST={name}"

    def image(self, tag):
        """Put the release into the registry, if it is not there. Return its tag."""
        if tag not in self.images:
            self.project_image(tag)
            base = f"{of_folder(ROOT).fleet}-shop:{tag}"
            made = docker("image", "inspect", "--format", "{{.Id}}", base).stdout.strip()
            name = f"fleet-{self.context.name}"
            self.fleet.registry.push(build(content_of(self.context), name, BASE=base, BASE_ID=made), f"orders:{tag}")
            self.images.add(tag)
        return tag

    def stage(self):
        """Set the settings, with an empty database and an empty Redis."""
        redis = self.fleet.services.redis
        self.fleet.services.run(f"for n in 3 4 {JOURNAL}; do redis-cli -n $n flushdb; done")
        self.set(
            SITE_URL="http://localhost",
            ALLOWED_HOSTS="orders.example",
            WORKER_CONCURRENCY=4,
            SECRET_KEY=secrets.token_hex(32),
            DATABASE_URL=self.fleet.services.new_database("orders"),
            BROKER_URL=f"{redis}/3",
            CACHE_URL=f"{redis}/4",
            JOURNAL_URL=f"{redis}/{JOURNAL}",
        )

    def load(self, **options):
        return super().load(**{"rate": 30, "post_path": "/", **options})

    def query(self, sql):
        """Return the database's answer, one row a line."""
        return self.fleet.services.run(f'su postgres -c "psql -qAt orders -c \\"{sql}\\""').splitlines()

    def journal(self, **expected):
        """Return the journal's lines that have these values, sorted by time."""
        said = self.fleet.services.run(f"redis-cli -n {JOURNAL} lrange journal 0 -1")
        lines = sorted(map(json.loads, said.splitlines()), key=lambda line: line["at"])
        return [line for line in lines if expected.items() <= line.items()]

    def ids(self, **expected):
        return {line["id"] for line in self.journal(**expected)}

    def done(self, ids):
        """Return True if all these tasks are done, else raise AssertionError with the others."""
        left = ids - self.ids(what="done")
        assert not left, left
        return True

    def goes_on(self):
        """Wait until all tasks that beat has sent are done, and then a task that the live release sent."""
        known, [tag] = self.ids(what="sent"), checker.tags(self)
        wait_until(lambda: self.done(known), 180, "all that beat has sent is done")
        wait_until(
            lambda: (self.ids(what="sent", release=tag) - known) & self.ids(what="done", release=tag),
            120,
            "beat and worker go on",
        )


def repeated(lines):
    """Return the (task, id) that were begun, or done, more than once."""
    times = Counter((line["what"], line["task"], line["id"]) for line in lines if line["what"] != "sent")
    return {key[1:] for key, count in times.items() if count > 1}


def doubled(lines):
    """Return the lines that beat sent while another beat ran: those of a container that sends again after another one
    has sent, and those that follow another container's sooner than PERIOD. All times come from one machine's clock, at
    the scheduler's decision. SLACK is the delay that a busy machine may add to one of them."""
    sent = [line for line in lines if line["what"] == "sent"]
    turns = Counter(container for container, _ in groupby(line["container"] for line in sent))
    again = [line for line in sent if turns[line["container"]] > 1]
    return again + [
        later
        for before, later in pairwise(sent)
        if before["container"] != later["container"] and later["at"] - before["at"] < PERIOD - SLACK
    ]
