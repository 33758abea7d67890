"""The project's own image with an app as a team adds one (tests/e2e/apps/orders): on provisioned hosts, and what its
journal tells of tasks and of beat."""

import json
import secrets
from collections import Counter
from itertools import groupby, pairwise

from e2e import checker
from e2e.fleet.apps import APPS
from e2e.fleet.docker import build, docker
from e2e.fleet.names import of_checkout
from e2e.provisioned import Project
from e2e.rollouts import Shop
from proc import wait_until

PERIOD = 2  # seconds, of beat's entry
SLACK = 0.5  # seconds a busy machine may let pass between beat's decision and its line in the journal
LIMITS = {"rollout.canary": 1, "rollout.bake": 3}
JOURNAL = 5  # Redis's database


class Orders(Shop):
    """The app on three hosts. Releases are made of the project's own: build-1, and build-2 with a migration, a task and
    a file more. `host` is where its worker and beat run; `context` is what is built on the project's image."""

    def __init__(self, fleet, folder, project_image):
        Project.__init__(self, fleet, folder, "orders", f"{fleet.registry.address}/orders", **LIMITS)
        self.project_image, self.images, self.context = project_image, set(), APPS / "orders"
        self.host = fleet.hosts["work1"]
        for name, host in self.hosts.items():
            host["opts"] = f"-e ORDERS_HOST={name}"

    def image(self, tag):
        """The release is in the registry; its tag."""
        if tag not in self.images:
            self.project_image(tag)
            base = f"{of_checkout().fleet}-shop:{tag}"
            made = docker("image", "inspect", "--format", "{{.Id}}", base).stdout.strip()
            name = f"fleet-{self.context.name}"
            self.fleet.registry.push(build(self.context, name, BASE=base, BASE_ID=made), f"orders:{tag}")
            self.images.add(tag)
        return tag

    def stage(self):
        """The settings, of an empty database and an empty Redis."""
        redis = self.fleet.services.redis_url.removesuffix("/0")
        self.fleet.services.run(f"for n in 3 4 {JOURNAL}; do redis-cli -n $n flushdb; done")
        settings = {"SITE_URL": "http://localhost", "ALLOWED_HOSTS": "orders.example", "WORKER_CONCURRENCY": 4,
                    "SECRET_KEY": secrets.token_hex(32), "DATABASE_URL": self.fleet.services.new_database("orders"),
                    "BROKER_URL": f"{redis}/3", "CACHE_URL": f"{redis}/4", "JOURNAL_URL": f"{redis}/{JOURNAL}"}
        done = self.deploy("env", "set", input="".join(f"{name}={value}\n" for name, value in settings.items()))
        assert done.returncode == 0, done.stderr

    def other(self):
        """(the tag that is live everywhere, the other one)."""
        [live] = checker.tags(self)
        return live, self.image({"build-1": "build-2", "build-2": "build-1"}[live])

    def load(self, **options):
        return super().load(**{"rate": 30, "post_path": "/", **options})

    def query(self, sql):
        """What the database answers, a line a row."""
        return self.fleet.services.run(f'su postgres -c "psql -qAt orders -c \\"{sql}\\""').splitlines()

    def journal(self, **wanted):
        """The journal's lines that have these values, in the order of time."""
        said = self.fleet.services.run(f"redis-cli -n {JOURNAL} lrange journal 0 -1")
        lines = sorted(map(json.loads, said.splitlines()), key=lambda line: line["at"])
        return [line for line in lines if wanted.items() <= line.items()]

    def ids(self, **wanted):
        return {line["id"] for line in self.journal(**wanted)}

    def done(self, ids):
        """Raise AssertionError with those of these tasks that nobody has done; else True."""
        left = ids - self.ids(what="done")
        assert not left, left
        return True

    def goes_on(self):
        """Wait until all that beat has sent so far is done, and then something that the release that is live sent."""
        known, [tag] = self.ids(what="sent"), checker.tags(self)
        wait_until(lambda: self.done(known), 90, "all that beat has sent is done")
        wait_until(lambda: (self.ids(what="sent", release=tag) - known) & self.ids(what="done", release=tag), 60,
                   "beat and worker go on")


def repeated(lines):
    """(task, id) that was begun, or done, more than once."""
    times = Counter((line["what"], line["task"], line["id"]) for line in lines if line["what"] != "sent")
    return {key[1:] for key, count in times.items() if count > 1}


def doubled(lines):
    """What beat sent though another beat was at work: a container that sends again after another one has begun to, or
    two that follow each other sooner than the entry is due. Times are those of the scheduler's decision, and both run
    on one machine's clock; SLACK is what such a machine may add to the one and not to the other."""
    sent = [line for line in lines if line["what"] == "sent"]
    turns = Counter(container for container, _ in groupby(line["container"] for line in sent))
    again = [line for line in sent if turns[line["container"]] > 1]
    return again + [later for before, later in pairwise(sent) if before["container"] != later["container"]
                    and later["at"] - before["at"] < PERIOD - SLACK]
