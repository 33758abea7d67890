"""The fleet as a swarm: hosts as production.toml describes them there, and what Docker says of the app."""

import json

from e2e.fleet import apps
from e2e.rollouts import Shop
from proc import wait_until

SERVICE = "com.docker.swarm.service.name"


class SwarmShop(Shop):
    """An app whose hosts are a swarm: web on two, worker and beat on the third, which balances; all three manage."""

    def __init__(self, fleet, folder, app="shop"):
        super().__init__(fleet, folder, app)
        self.settings |= self.as_swarm()

    def as_swarm(self):
        """What its file says of the engine."""
        return {"engine.kind": "swarm", "engine.replicas.web": 3, "engine.replicas.worker": 1,
                "engine.replicas.beat": 1, "engine.proxy": self.fleet.registry.push(apps.haproxy(), "haproxy:lts")}

    @property
    def manager(self):
        return self.fleet.hosts["web1"]

    def form(self):
        """Make the hosts a swarm, all of them managers, with labels of their roles, as docs/swarm.md says."""
        first, *others = self.hosts
        run = self.manager.run
        run(f"docker swarm init --advertise-addr {self.fleet.hosts[first].address} --default-addr-pool 10.83.0.0/16")
        token = run("docker swarm join-token -q manager").strip()
        for name in others:
            self.fleet.hosts[name].run(f"docker swarm join --token {token} {self.fleet.hosts[first].address}:2377")
        for name, host in self.hosts.items():
            labels = [f"--label-add {self.app}.{role}=true" for role in host["roles"]]
            run(f"docker node update {' '.join(labels)} {name}")

    def running(self):
        """Service → images of its containers that run, a list with one for each; by all hosts that are up."""
        found = {}
        for host in self.machines().values():
            said = host.ssh("docker ps --filter label=slipway.id --format"
                            f" '{{{{.Label \"{SERVICE}\"}}}} {{{{.Image}}}}'").stdout
            for service, image in map(str.split, said.splitlines()):
                found.setdefault(service.removeprefix(self.app + "_"), []).append(image)
        return {service: sorted(images) for service, images in found.items() if service != "proxy"}

    def status(self):
        """What `status --json` says."""
        return json.loads(self.deploy("status", "--json").stdout)

    def alone(self, tag):
        """Wait until this release alone runs, all is well, and there are as many of each as there are to be."""
        def is_alone():
            said, running = self.status(), self.running()
            return (not said["problems"] and {one["release"] for one in said["services"].values()} == {tag}
                    and {name: len(images) for name, images in running.items()} == {
                        role: self.settings[f"engine.replicas.{role}"] for role in ("web", "worker", "beat")}
                    and len({image for images in running.values() for image in images}) == 1)
        wait_until(is_alone, 180, f"{tag} alone runs")

    def bring(self, tag):
        if self.status()["problems"] or {one["release"] for one in self.status()["services"].values()} != {tag}:
            wait_until(lambda: not [one for one in self.status()["services"].values() if one["update"] in (
                "updating", "rollback_started")], 180, "no update is under way")
            outcome = self.roll("deploy", self.image(tag), "--no-bake")
            assert outcome.code == 0, outcome.stderr
        self.alone(tag)

    def environment(self):
        """What a command in the release that is live finds there."""
        ran = self.deploy("run", "web1", "--", "show")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)["environment"]


def begun(fleet, folder):
    """The app on a fleet that was bare, with v1 live."""
    fleet.reset()
    shop = SwarmShop(fleet, folder)
    shop.provision()
    shop.form()
    shop.stage()
    outcome = shop.roll("deploy", "v1")
    assert outcome.code == 0, outcome.stderr
    shop.alone("v1")
    return shop
