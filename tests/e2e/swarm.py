"""The fleet as a swarm: hosts as production.toml describes them there, and what its managers say."""

import json

from e2e.fleet import apps
from e2e.rollouts import Shop
from proc import wait_until

LABELS = "{{range $key, $value := .Spec.Labels}} {{$key}}{{end}}"


class SwarmShop(Shop):
    """An app whose hosts are a swarm: web on two, worker and beat on the third, which balances; all three manage."""

    def __init__(self, fleet, folder, app="shop"):
        super().__init__(fleet, folder, app)
        proxy = fleet.registry.push(apps.haproxy(), "haproxy:lts")
        self.settings |= {"engine.kind": "swarm", "engine.replicas.web": 3, "engine.replicas.worker": 1,
                          "engine.replicas.beat": 1, "engine.proxy": proxy}

    @property
    def manager(self):
        return self.fleet.hosts["web1"]

    def nodes(self):
        """Host name → (role, names of labels), as the first manager knows them."""
        said = self.manager.run("docker node ls -q | xargs docker node inspect --format"
                                f" '{{{{.Description.Hostname}}}} {{{{.Spec.Role}}}}{LABELS}'")
        return {name: (role, set(labels)) for name, role, *labels in map(str.split, said.splitlines())}

    def part(self, name):
        """What a host's engine says of its part in the swarm."""
        return json.loads(self.fleet.hosts[name].run("docker info --format '{{json .Swarm}}'"))

    def readyz(self, name):
        """What the link web.sock leads to answers on a host: the release that is ready, or ""."""
        said = self.fleet.hosts[name].ssh(f"curl -fsS -m 3 --unix-socket /run/{self.app}/web.sock"
                                          " http://localhost/readyz").stdout
        return json.loads(said)["release"] if said else ""

    def until_ready(self, tag, seconds=120):
        """Wait until visitors of every web host get that release."""
        for host in self.web:
            wait_until(lambda host=host: self.readyz(host.name) == tag, seconds, f"{host.name} answers as {tag}")
