"""Docker Swarm and Kamal as tools that deploy the benchmarks' app, each as its own manual says."""

import json
import shutil
import sys

from e2e import swarms
from proc import ROOT, passed, run
from slipway.fleet.docker import docker

sys.path.append(str(ROOT / "tests/benchmarks"))
from deploy_apps import APP, Releases, Served, migrate  # noqa: E402

PROXY = "basecamp/kamal-proxy:v0.9.2"  # what Kamal 2.12 asks for
MIGRATE = '#!/bin/sh\nexec kamal app exec --primary --version "$KAMAL_VERSION" migrate\n'  # before containers change


class Swarm:
    """Docker Swarm, one manager and one worker; `slipway deploy` changes its services (docs/swarm.md)."""

    def set_up(self, fleet, folder, count):
        """Deploy a first release on bare servers."""
        self.releases, self.served = Releases(fleet.registry), Served(fleet, folder, f"{APP}swarm", count)
        self.served.settings |= swarms.engine(fleet, web=count)
        self.served.provision()
        swarms.form(self.served, "worker")
        self.served.stage()
        self.served.good("deploy", self.releases.new())

    def command(self, tag):
        """Return the command that deploys a release, and its folder."""
        return self.served.command("deploy", tag), self.served.checkout

    def help(self):
        """Do what a deploy needs first after one that failed: nothing."""


class Kamal:
    """Kamal, with its proxy at each server's port 80. It deploys the image from the registry."""

    def set_up(self, fleet, folder, count):
        """Deploy a first release on bare servers."""
        self.releases, self.served = Releases(fleet.registry), Served(fleet, folder, f"{APP}kamal", count)
        self.folder = folder / "kamal"
        for name in ("config", ".kamal/hooks"):
            (self.folder / name).mkdir(parents=True)
        fleet.registry.push(PROXY, PROXY)
        values = self.served.values()
        lines = "".join(f"{name}={value}\n" for name, value in values.items())
        (self.folder / ".kamal/secrets").write_text(f"{lines}PASSWORD=any\n")
        (self.folder / "config/deploy.yml").write_text(json.dumps(self.configuration(fleet, [*values])))
        for host in self.served.web:
            host.run("systemctl disable --quiet --now nginx")  # its proxy takes port 80
        tag, first = self.releases.new(), self.served.web[0]
        first.run(f"cat >/etc/default/{self.served.app}.env", input=lines)  # its hook has no settings before its deploy
        first.run(migrate(self.served.app, f"{fleet.registry.address}/{APP}:{tag}"), timeout=120)
        passed(run(self.command(tag)[0], cwd=self.folder, timeout=300))
        hook = self.folder / ".kamal/hooks/pre-app-boot"
        hook.write_text(MIGRATE)
        hook.chmod(0o755)

    def configuration(self, fleet, secrets):
        """Return deploy.yml, as JSON is YAML. `secrets`: names of settings."""
        registry = fleet.registry.address
        return {
            "service": self.served.app,
            "image": APP,
            "servers": {"web": {"hosts": [host.address for host in self.served.web], "cmd": "run"}},
            "proxy": {
                "app_port": 8000,
                "healthcheck": {"path": "/readyz"},
                "run": {"registry": registry, "version": PROXY.partition(":")[2]},
            },
            "registry": {"server": registry, "username": "any", "password": ["PASSWORD"]},
            "env": {"secret": secrets},
            "builder": {"arch": "amd64"},
            "ssh": {"keys_only": True, "keys": [str(fleet.ssh_config.with_name("id_ed25519"))], "config": False},
        }

    def command(self, tag):
        """Return the command that deploys a release, and its folder."""
        return ["kamal", "deploy", "--skip-push", "--version", tag], self.folder

    def help(self):
        """Do what a deploy needs first after one that was killed: take its lock away."""
        passed(run(["kamal", "lock", "release"], cwd=self.folder, timeout=60))


def has_kamal():
    """Return True if Kamal is on the path, and its proxy in this machine's Docker."""
    return bool(shutil.which("kamal")) and not docker("image", "inspect", PROXY, check=False).returncode
