"""The images of services, which go from this machine to hosts by ssh."""

import asyncio
import os

import pytest

from deployer.conftest import fleet_of
from deployer.recipes import Plan
from deployer.test_server import host_of
from slipway.deploy.commands import upgrade
from slipway.deploy.errors import HostProblem, Refused
from slipway.deploy.ssh import service_images
from slipway.deploy.ssh.child import Done

# A Docker that has postgres:17, of amd64, and may pull it; its `save` prints what the image's name is.
DOCKER = """#!/bin/sh
echo "$*" >>"$0.log"
case $1$2 in
    imageinspect) [ -e "$0.$3" ] && echo '[{"Id": "sha256:1", "Architecture": "amd64"}]' ;;
    pull--quiet) [ "$3" != postgres:1 ] || { echo "no such image" >&2; exit 1; }; : >"$0.$3" ;;
    savepostgres:18) echo half; exit 1 ;;
    save*) echo "$2" ;;
esac
"""


@pytest.fixture
def fleet(data):
    hosts = {
        "web1": {"roles": ["web"], "internal": "10.0.0.11"},
        "db1": {"roles": ["postgres"], "internal": "10.0.0.20"},
    }
    return fleet_of(data, {"registry": "ssh", "hosts": hosts})


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """Put a docker and an ssh on the path. Return what reads the lines that docker got, or that `ssh` was sent."""
    for name, script in (
        ("docker", DOCKER),
        ("ssh", '#!/bin/sh\ncat >>"$0.log"; ! [ -e "$0.full" ] || { echo "no space" >&2; exit 1; }\n'),
    ):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return lambda name: (tmp_path / f"{name}.log").read_text().splitlines()


def test_provisioning_sends_only_what_the_host_lacks(fleet, monkeypatch):
    told = []
    monkeypatch.setattr(service_images, "send", lambda *words: told.append(words))
    names = Plan(fleet, "db1", answers={"uname -m": "x86_64\n"}).names
    assert names.index("send postgres:17") < names.index("prepare postgres")
    assert told == [("postgres:17", host_of(fleet, "db1"), fleet.ssh, "x86_64")]
    assert "send postgres:17" not in Plan(fleet, "db1", answers={"docker image inspect": "present\n"}).names


def test_other_registries_are_asked_by_the_host_itself(data):
    fleet = fleet_of(data, {"hosts": {"one": {"roles": ["web", "postgres"]}}})
    assert not [name for name in Plan(fleet, "one").names if name.startswith("send")]


def test_an_image_that_is_not_here_is_pulled_and_then_sent(fleet, sent):
    service_images.send("postgres:17", host_of(fleet, "db1"), fleet.ssh, "x86_64")
    assert "pull --quiet postgres:17" in sent("docker") and sent("ssh") == ["postgres:17"]
    service_images.send("postgres:17", host_of(fleet, "db1"), fleet.ssh, "x86_64")
    assert sent("docker").count("pull --quiet postgres:17") == 1


@pytest.mark.parametrize(
    ("image", "architecture", "line"),
    [
        ("postgres:1", "x86_64", "sends postgres:1 from this machine, which cannot pull it: no such image"),
        (
            "postgres:17",
            "aarch64",
            "for amd64, the server needs arm64: run docker pull --platform linux/arm64 postgres:17",
        ),
        ("postgres:18", "x86_64", "docker save postgres:18 failed on this machine"),
    ],
)
def test_what_cannot_be_sent_is_told_in_a_line(fleet, sent, image, architecture, line):
    with pytest.raises(HostProblem, match=line):
        service_images.send(image, host_of(fleet, "db1"), fleet.ssh, architecture)


def test_a_host_that_cannot_load_says_why(fleet, sent, tmp_path):
    (tmp_path / "ssh.full").touch()
    with pytest.raises(HostProblem, match=r"^cannot load postgres:17: no space$"):
        service_images.send("postgres:17", host_of(fleet, "db1"), fleet.ssh, "x86_64")


def test_an_upgrade_pulls_here_and_sends(fleet, sent, monkeypatch):
    asked = []

    async def run(host, ssh, words, **options):
        asked.append(words)
        return Done(0, b"x86_64\n" if words == ["uname", "-m"] else b"17.5 17.6 new", b"")

    monkeypatch.setattr(upgrade, "run", run)
    [service] = fleet.services
    for pulls in (1, 2):  # the second time, an image of that name is here
        assert asyncio.run(upgrade.versions(fleet, service)) == ["17.5", "17.6", "new"]
        assert sent("docker").count("pull --quiet postgres:17") == pulls == len(sent("ssh"))
    assert asked[-1] == ["docker-service", "newest", "shop-postgres", "sent"]


def test_an_upgrade_whose_image_cannot_be_pulled_changes_nothing(data, sent, monkeypatch):
    async def run(host, ssh, words, **options):
        return Done(0, b"x86_64\n", b"")

    monkeypatch.setattr(upgrade, "run", run)
    hosts = {"one": {"roles": ["web", "postgres"]}}
    fleet = fleet_of(data, {"registry": "ssh", "hosts": hosts, "service": {"postgres": {"image": "postgres:1"}}})
    with pytest.raises(Refused, match=r"one: .*cannot pull it"):
        asyncio.run(upgrade.versions(fleet, fleet.services[0]))
