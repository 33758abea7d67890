"""Hosts of the fleet, described in deploy/production.toml's form and provisioned by the real command."""

import json
import re
import shlex
import sys

from documented import block
from proc import ROOT, passed, run, wait_until

NAMES = ("web1", "web2", "work1")
ROLES = {"web1": ["web"], "web2": ["web"], "work1": ["worker", "beat"]}


class Project:
    """The deployer's part of a team's checkout: a file that describes the hosts, and commands."""

    checkout = ROOT  # whose deployer the commands run

    def __init__(self, fleet, folder, app, image, **settings):
        self.fleet, self.app, self.path = fleet, app, folder / f"{app}.toml"
        self.settings = {"app": app, "image": image, "media": "bucket", "site.names": [f"{app}.example"], **settings}
        self.hosts = {
            name: {"roles": roles, "internal": fleet.hosts[name].address}
            for name, roles in ROLES.items()
            if name in fleet.hosts
        }
        if "work1" in self.hosts:
            self.hosts["work1"]["balancer"] = True

    def write(self):
        """Write the file from settings {dotted key: value} and hosts {name: table}."""
        tables = {
            **self.settings,
            **{f"hosts.{name}.{key}": value for name, host in self.hosts.items() for key, value in host.items()},
        }
        self.path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in tables.items()))

    def command(self, *words):
        self.write()
        return [
            sys.executable,
            "-m",
            "slipway.deploy",
            "--config",
            self.path,
            "--ssh-config",
            self.fleet.ssh_config,
            *words,
        ]

    def deploy(self, *words, input=None, timeout=300):
        """Run `python -m slipway.deploy WORDS…`. Return the finished process."""
        given = {"input": input, "stdin": None} if input is not None else {}
        return run(self.command(*words), timeout=timeout, cwd=self.checkout, **given)

    def set(self, **settings):
        """Stage these settings, which must succeed."""
        passed(self.deploy("env", "set", input="".join(f"{name}={value}\n" for name, value in settings.items())))

    def provision(self, *words):
        """Provision, which must succeed. Return the output."""
        return passed(self.deploy("provision", *words)).stdout

    def changes(self, *words):
        """Provision. Return the number of changes that it reports."""
        said = self.provision(*words)
        return int(re.search(r"^(\d+) changes? \(", said, re.MULTILINE)[1])

    def start(self, *names, image):
        """Start the first release on these hosts by the commands of docs/provision.md. Wait until all serve."""
        name, tag = image.rsplit(":", 1)
        script = block(ROOT / "docs/provision.md", "app=shop").replace(
            "app=shop image=registry.example/shop tag=build-1", f"app={self.app} image={name} tag={tag}", 1
        )
        assert f"tag={tag}\n" in script
        for host in names:
            self.fleet.hosts[host].run("sh -s", input="set -e\n" + script, timeout=120)
        for host in names:
            if "web" in self.hosts[host]["roles"]:
                wait_until(lambda: f'"{tag}"' in self.inside(host, "/readyz")[1], 60, f"{host} is ready")

    def inside(self, name, path):
        """Return (status, body) of a host's nginx for a request as the deployer sends it."""
        said = self.fleet.hosts[name].run(
            f"curl -sS -w '\\n%{{http_code}}' --unix-socket /run/{self.app}/nginx.sock"
            f" -H 'Host: {self.app}.example' {shlex.quote('http://localhost' + path)}"
        )
        body, _, status = said.rpartition("\n")
        return int(status), body
