"""Releases of the project's own image to deploy, and the hosts that run them."""

import secrets
import shutil
import tempfile
import time
from pathlib import Path

from e2e.fleet import apps
from e2e.provisioned import Project
from e2e.rollouts import QUICK, Shop
from slipway.fleet.docker import build, content_of, docker

NAMES = ("web1", "web2", "web3", "web4")
HERE = Path(__file__).parent
APP = "orders"
SETTINGS = {**QUICK, "rollout.canary": 0, "rollout.bake": 0, "rollout.dead_after": 30, "rollout.migrate": 120}
CHANGE = 200_000  # bytes of a release's own layer, as in a release that changes only code


class Image:
    """The project's image with an app such as a team adds: its POSTs write to the database and queue a task."""

    def __init__(self):
        base = apps.project("bench")
        made = docker("image", "inspect", "--format", "{{.Id}}", base).stdout.strip()
        self.base = build(content_of(apps.APPS / "orders"), "fleet-orders", BASE=base, BASE_ID=made)

    def release(self, tag, fault):
        """Build a release in this machine's Docker engine."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(HERE / "release/Dockerfile", folder)
            Path(folder, "change").write_bytes(secrets.token_bytes(CHANGE))
            return build(content_of(Path(folder)), "bench-release", BASE=self.base, FAULT=fault, TAG=tag)


class Served(Shop):
    """The app on the servers, deployed by one tool. All tools deploy the same images."""

    def __init__(self, fleet, folder, app, count):
        Project.__init__(self, fleet, folder, app, f"{fleet.registry.address}/{APP}", **SETTINGS)
        self.use(count)

    def use(self, count, *extra):
        """Put the app on the first `count` servers, with web and the roles `more`; the last then also has beat."""
        self.hosts = {
            name: {"roles": ["web", *extra], "internal": self.fleet.hosts[name].address} for name in NAMES[:count]
        }
        if extra:
            self.hosts[NAMES[count - 1]]["roles"].append("beat")

    def stage(self):
        self.set(**self.values())

    def values(self):
        """Give the app its own database and queues; return its settings."""
        services, number = self.fleet.services, 2 * self.app.endswith("hand")
        redis = services.redis
        return {
            "SITE_URL": "http://localhost",
            "ALLOWED_HOSTS": f"{self.app}.example",
            "WORKER_CONCURRENCY": 2,
            "SECRET_KEY": secrets.token_hex(32),
            "DATABASE_URL": services.new_database(self.app),
            "BROKER_URL": f"{redis}/{6 + number}",
            "CACHE_URL": f"{redis}/{7 + number}",
            "JOURNAL_URL": f"{redis}/{10 + number}",
        }

    def stop(self):
        """Stop the app on its servers; its files stay."""
        for host in self.web:
            host.run(f"systemctl disable --quiet {self.app}.target && systemctl stop {self.app}.target", timeout=120)


class Releases:
    """A source of new releases."""

    def __init__(self, registry):
        self.registry, self.image, self.number = registry, Image(), 0

    def new(self, fault=""):
        """Build a release and push it to the registry. Return its tag. No server has it yet."""
        self.number += 1
        tag = f"{int(time.time()):x}-{self.number}"
        image = self.image.release(tag, fault)
        self.registry.push(image, f"{APP}:{tag}")
        docker("rmi", image, check=False)
        return tag


def commands(app, image):
    """Return what people type on a server to replace a container. The options are those of docker-runner; nginx, user,
    settings and socket are those of a provisioned app."""
    folder = f"/run/{app}/a"
    return (
        f"docker pull -q {image} >/dev/null && docker rm -f {app} >/dev/null &&"
        f" docker run -d --name {app} --restart=always --init --no-healthcheck --cap-drop=ALL --read-only"
        f" --security-opt=no-new-privileges --tmpfs=/tmp:size=256m,mode=1777,nosuid,nodev,noexec --pids-limit=1000"
        f" --memory=2g --user $(id -u {app}):$(id -g {app}) --env-file /etc/default/{app}.env -v {folder}:{folder}"
        f" -e SOCKET={folder}/web.sock {image} run >/dev/null"
    )


def migrate(app, image):
    """Return what people type on a server to migrate the database, before its container is replaced."""
    return f"docker pull -q {image} >/dev/null && docker run --rm --env-file /etc/default/{app}.env {image} migrate"


def take_over(served, tag):
    """Replace the deployed app by a container that a person starts by hand."""
    served.stop()
    image = f"{served.settings['image']}:{tag}"
    for host in served.web:
        host.run(f"ln -sfn a/web.sock /run/{served.app}/web.sock && docker create --name {served.app} {image}")
        host.run(commands(served.app, image), timeout=120)
