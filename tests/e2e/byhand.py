"""An app on a host of the fleet that is released by hand, without a deploy, and functions that observe it."""

import tempfile
from pathlib import Path

from e2e.provisioned import Project
from proc import wait_until


def install(fleet, image):
    """Make bare web1 a server of the app shop in all roles, with one setting and without a release. Return it."""
    fleet.reset("web1")
    with tempfile.TemporaryDirectory() as folder:
        project = Project(fleet, Path(folder), "shop", image.rpartition(":")[0], opts="--memory 256m")
        project.hosts = {"web1": {"roles": ["web", "worker", "beat"]}}
        project.provision()
    fleet.hosts["web1"].run("echo SECRET_KEY=planted-secret-4711-shop >/etc/default/shop.env")
    return fleet.hosts["web1"]


def release(host, image, path="/var/www/shop/TAG"):
    """Pull a release, and write it to TAG, which commits it, or a slot's file, with its image id."""
    host.run(
        f"docker pull -q {image} && printf 'export TAG=%s\\nexport IMAGE_ID=%s\\n' {image.rpartition(':')[2]}"
        f" $(docker image inspect --format '{{{{.Id}}}}' {image}) >{path}",
        timeout=300,
    )


def answers(host, app, path="/"):
    """Return (status, body) that a visitor gets from the host's nginx."""
    said = host.run(f"curl -s -w '\\n%{{http_code}}' -H 'Host: {app}.example' http://localhost{path}")
    body, _, status = said.rpartition("\n")
    return int(status), body


def until_it_answers(host, app, what):
    """Wait until a visitor gets 200 and a page that contains `what`."""

    def good():
        status, body = answers(host, app)
        return status == 200 and what in body

    wait_until(good, what=f"{app} on {host.name} answers with {what}")


def active(host, *units):
    """Return systemd's state of each unit, in order."""
    return host.ssh(f"systemctl is-active {' '.join(units)}").stdout.split()


def started(host):
    """Return {container: its start time}."""
    return dict(
        line.split()
        for line in host.run("docker inspect --format '{{.Name}} {{.State.StartedAt}}' $(docker ps -q)").splitlines()
    )


def containers(host):
    """Return {name: state} of all containers."""
    return dict(line.split() for line in host.run("docker ps -a --format '{{.Names}} {{.State}}'").splitlines())
