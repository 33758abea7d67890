"""What is deployed: releases of the project's own image, and hosts that run them."""

import secrets
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from e2e.fleet import apps
from e2e.fleet.docker import build, docker
from e2e.provisioned import Project
from e2e.rollouts import QUICK, Shop

NAMES = ("web1", "web2", "web3", "web4")
HERE = Path(__file__).parent
APP, LIMIT = "orders", 15  # seconds within which a release that does not get ready is taken back
SETTINGS = {**QUICK, "rollout.canary": 0, "rollout.bake": 0, "rollout.dead_after": 30,
            "rollout.migrate": 120}
CHANGE = 200_000  # bytes that a release of the project's image has of its own, as one has whose code alone changed


class Image:
    """The project's own with an app as a team adds one: its POSTs write to the database and queue a task."""

    def __init__(self):
        base = apps.project("bench")
        made = docker("image", "inspect", "--format", "{{.Id}}", base).stdout.strip()
        self.base = build(apps.APPS / "orders", "fleet-orders", BASE=base, BASE_ID=made)

    def release(self, tag, fault):
        """One in the engine here."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(HERE / "release/Dockerfile", folder)
            Path(folder, "change").write_bytes(secrets.token_bytes(CHANGE))
            return build(folder, "bench-release", BASE=self.base, FAULT=fault, TAG=tag)


class Served(Shop):
    """The app on the servers, by a tool; all have the same images."""

    def __init__(self, fleet, folder, app):
        Project.__init__(self, fleet, folder, app, f"{fleet.registry.address}/{APP}", **SETTINGS)
        self.use(len(NAMES))

    def use(self, count, *more):
        """It is on the first `count` servers, each with web and these roles; beat is on the last alone."""
        self.hosts = {name: {"roles": ["web", *more], "internal": self.fleet.hosts[name].address}
                      for name in NAMES[:count]}
        if more:
            self.hosts[NAMES[count - 1]]["roles"].append("beat")

    def over(self, ssh_config):
        """Its servers are reached by this file from now on."""
        self.fleet = replace(self.fleet, ssh_config=ssh_config)

    def stage(self):
        """A database and queues of its own."""
        services, number = self.fleet.services, 2 * self.app.endswith("hand")
        redis = services.redis_url.removesuffix("/0")
        settings = {"SITE_URL": "http://localhost", "ALLOWED_HOSTS": f"{self.app}.example", "WORKER_CONCURRENCY": 2,
                    "SECRET_KEY": secrets.token_hex(32), "DATABASE_URL": services.new_database(self.app),
                    "BROKER_URL": f"{redis}/{6 + number}", "CACHE_URL": f"{redis}/{7 + number}",
                    "JOURNAL_URL": f"{redis}/{10 + number}"}
        done = self.deploy("env", "set", input="".join(f"{name}={value}\n" for name, value in settings.items()))
        assert done.returncode == 0, done.stderr

    def first(self, tag):
        """Servers that run a release, from nothing."""
        self.provision()
        self.stage()
        done = self.deploy("deploy", tag)
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self):
        """It runs no more; what it was given stays."""
        for host in self.web:
            host.run(f"systemctl disable --quiet {self.app}.target && systemctl stop {self.app}.target", timeout=120)


class Releases:
    """New ones, as many as are asked for."""

    def __init__(self, registry):
        self.registry, self.image, self.number = registry, Image(), 0

    def new(self, fault=""):
        """A release in the registry, which no server has; its tag."""
        self.number += 1
        tag = f"{int(time.time()):x}-{self.number}"
        image = self.image.release(tag, fault)
        self.registry.push(image, f"{APP}:{tag}")
        docker("rmi", image, check=False)
        return tag


def commands(app, image):
    """What people type on a server to replace a container, a list: the options are those that docker-runner gives, and
    nginx, user, settings and socket those of an app that was provisioned as any other."""
    folder = f"/run/{app}/a"
    return [f"docker pull -q {image} >/dev/null", f"docker rm -f {app} >/dev/null",
            f"docker run -d --name {app} --restart=always --init --no-healthcheck --cap-drop=ALL --read-only"
            f" --security-opt=no-new-privileges --tmpfs=/tmp:size=256m,mode=1777,nosuid,nodev,noexec --pids-limit=1000"
            f" --memory=2g --user $(id -u {app}):$(id -g {app}) --env-file /etc/default/{app}.env -v {folder}:{folder}"
            f" -e SOCKET={folder}/web.sock {image} run >/dev/null"]


def take_over(served, tag):
    """What was deployed there runs as a container that somebody started by hand."""
    served.stop()
    image = f"{served.settings['image']}:{tag}"
    for host in served.web:
        host.run(f"ln -sfn a/web.sock /run/{served.app}/web.sock && docker create --name {served.app} {image}")
        host.run(" && ".join(commands(served.app, image)), timeout=120)
