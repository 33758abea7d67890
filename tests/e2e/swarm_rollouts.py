"""Deploys to the fleet as a swarm: what runs there by the engine's own word, and that it is whole afterwards."""

import json

from e2e.swarm import SwarmShop
from proc import wait_until

RELEASE = "slipway.tag"


class Rolled(SwarmShop):
    """The app on a swarm, and releases of it."""

    def running(self):
        """Service → releases of its containers that run, a list with one for each; by all hosts that are up."""
        found = {}
        for host in self.machines().values():
            said = host.ssh("docker ps --filter label=" + RELEASE + " --filter name=^" + self.app + "_ --format"
                            " '{{.Label \"com.docker.swarm.service.name\"}} {{.Label \"" + RELEASE + "\"}}'").stdout
            for service, release in map(str.split, said.splitlines()):
                found.setdefault(service.removeprefix(self.app + "_"), []).append(release)
        return {service: sorted(releases) for service, releases in found.items()}

    def tags(self):
        """All releases that run."""
        return {release for releases in self.running().values() for release in releases}

    def bring(self, tag):
        if self.tags() != {tag} or self.deploy("status").returncode:
            outcome = self.roll("deploy", self.image(tag), "--no-bake")
            assert outcome.code == 0, outcome.stderr

    def facts(self):
        """What a manager tells, by `status`."""
        return json.loads(self.deploy("status", "--json").stdout)["swarm"]

    def settled(self, seconds=120):
        """Wait until nobody has a lock, neither a host's nor the swarm's."""
        super().settled(seconds)
        wait_until(lambda: not self.facts()["lock"], seconds, "the swarm is free")

    def live(self):
        """The release that was committed last."""
        return [record["tag"] for record in self.facts()["records"] if record["outcome"] == "committed"][-1]

    def alone(self, tag):
        """Wait until this release alone runs, as many of each as there are to be: others may still be draining."""
        wanted = {"web": [tag] * 3, "worker": [tag], "beat": [tag]}
        wait_until(lambda: self.running() == wanted, 60, f"{tag} alone runs: {self.running()}")

    def is_whole(self):
        """Wait until all services run what was committed, and nothing is left over."""
        wait_until(lambda: self.deploy("status").returncode == 0, 120, "all is well")
        self.alone(self.live())

    def environment(self):
        """What a command in the release that is live finds there."""
        ran = self.deploy("run", "web1", "--", "show")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)["environment"]


def begun(fleet, folder):
    """The app on a fleet that was bare, with v1 live."""
    fleet.reset()
    shop = Rolled(fleet, folder)
    shop.provision()
    shop.stage()
    outcome = shop.roll("deploy", "v1")
    assert outcome.code == 0, outcome.stderr
    shop.until_ready("v1")
    return shop
