"""The fleet as a swarm: hosts as production.toml describes them there, what its managers say, and a stack by hand."""

import json
import sys

from e2e.fleet import apps
from e2e.rollouts import Shop
from proc import ROOT, wait_until

sys.path.insert(0, str(ROOT))
from slipway.deploy import config  # noqa: E402
from slipway.deploy.engine import proxy  # noqa: E402

LABELS = "{{range $key, $value := .Spec.Labels}} {{$key}}{{end}}"
HEALTH = {"test": ["CMD", "/usr/bin/python3", "/app/server.py", "healthcheck", "ready"],
          "interval": "2s", "timeout": "5s", "retries": 3, "start_period": "20s"}


class SwarmShop(Shop):
    """An app whose hosts are a swarm: web on two, worker and beat on the third, which balances; all three manage."""

    def __init__(self, fleet, folder, app="shop"):
        super().__init__(fleet, folder, app)
        self.on_hosts = dict(self.settings)  # the file without a swarm
        self.settings |= self.as_swarm()

    def as_swarm(self):
        """What its file says of the engine."""
        self.proxy = self.fleet.registry.push(apps.haproxy(), "haproxy:lts")
        return {"engine.kind": "swarm", "engine.replicas.web": 3, "engine.replicas.worker": 1,
                "engine.replicas.beat": 1, "engine.proxy": self.proxy}

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

    def readyz(self, name, path="web.sock"):
        """What a socket below /run/APP answers on a host: the release that is ready, or ""."""
        said = self.fleet.hosts[name].ssh(f"curl -fsS -m 3 --unix-socket /run/{self.app}/{path}"
                                          " http://localhost/readyz").stdout
        return json.loads(said)["release"] if said else ""

    def until_ready(self, tag, path="web.sock", seconds=120):
        """Wait until visitors of every web host get that release."""
        for host in self.web:
            wait_until(lambda host=host: self.readyz(host.name, path) == tag, seconds, f"{host.name} answers as {tag}")

    # ---- a stack by hand ----

    def stack(self, tag):
        """The release as a stack that nobody watches."""
        self.write()
        haproxy = proxy.config(config.load(self.path, {}))
        self.manager.write("/root/stack/haproxy.cfg", haproxy)
        self.manager.write("/root/stack/stack.json", json.dumps(self.compose(tag)))
        self.manager.run("cd /root/stack && export name=haproxy-$(sha256sum haproxy.cfg | cut -c1-16) &&"
                         f" docker stack deploy -c stack.json {self.app} 2>&1", timeout=120)

    def compose(self, tag):
        """What docker stack deploy reads; JSON is YAML."""
        return {
            "version": "3.8",
            "networks": {"default": {"driver": "overlay"}},
            "configs": {"haproxy": {"file": "./haproxy.cfg", "name": "$name"}},  # one with another content
            "services": {
                "web": self.service("web", self.image(tag), self.settings["engine.replicas.web"],
                                    command=["run"], environment={"DRAIN": "5"}),
                "worker": self.service("worker", self.image(tag), 1, command=["worker"]),
                "proxy": self.service(
                    "web", "", None, image=self.proxy, stop_signal="SIGUSR1", healthcheck={"disable": True},
                    entrypoint=["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"],
                    configs=[{"source": "haproxy", "target": "/etc/haproxy/haproxy.cfg"}],
                    volumes=[{"type": "bind", "source": f"/run/{self.app}/proxy", "target": "/run/proxy"}]),
            },
        }

    def service(self, role, tag, replicas, **more):
        """A service on the hosts of a role; on each of them without `replicas`."""
        count = {"mode": "global"} if replicas is None else {"replicas": replicas}
        return {"image": f"{self.settings['image']}:{tag}", "user": "10001:10001", "read_only": True,
                "stop_grace_period": "60s", "healthcheck": HEALTH, **more, "deploy": {
                    **count, "endpoint_mode": "dnsrr", "restart_policy": {"condition": "any", "delay": "0s"},
                    "placement": {"constraints": [f"node.labels.{self.app}.{role}==true"]},
                    "update_config": {"order": "start-first", "failure_action": "rollback", "monitor": "10s"}}}
