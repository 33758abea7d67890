"""Images brought to a real host through its ssh connection, without a registry: only layers it lacks travel."""

import base64
import contextlib
import json
import subprocess
import sys

import pytest

from e2e.fleet import apps
from e2e.fleet.docker import build, docker
from proc import ROOT, run, wait_until

sys.path.insert(0, str(ROOT))
from slipway.deploy.config.ssh import Ssh  # noqa: E402
from slipway.deploy.ssh import registry  # noqa: E402


@pytest.fixture
def host(fleet):
    """A server that has no image."""
    fleet.reset("web1")
    return fleet.hosts["web1"]


@contextlib.contextmanager
def connection(host, share):
    """A connection such as the deployer's, which others can join at the path `share`."""
    command = Ssh(str(host.ssh_config)).command(host.name, ["sh", "-c", "echo ready; exec cat"], str(share), owner=True)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            process.stdin.close()


def pull(host, image, cache, share):
    """Pull an image of this machine's engine on the host; its id there, and the bytes that were sent."""
    with registry.serve(image, cache) as server, connection(host, share):
        asked = run(Ssh(str(host.ssh_config)).forward(host.name, str(share), server.port))
        assert asked.returncode == 0, asked.stderr
        port = int(asked.stdout)
        name = f"127.0.0.1:{port}/app@{server.digest}"
        said = host.ssh(f"docker pull {name}")
        assert said.returncode and "no basic auth credentials" in said.stderr, "it was given to anybody"
        login = base64.b64encode(server.login.encode()).decode()
        config = json.dumps({"auths": {f"127.0.0.1:{port}": {"auth": login}}})
        host.run(f"umask 077; DOCKER_CONFIG=$(mktemp -d) && export DOCKER_CONFIG && cat >$DOCKER_CONFIG/config.json &&"
                 f" docker pull -q {name} && rm -r $DOCKER_CONFIG", input=config, timeout=300)
        found = host.run(f"docker image inspect --format '{{{{.Id}}}}' {name}").strip()
    wait_until(lambda: not share.exists(), 30, "the connection has ended")
    return found, server.sent


def test_a_small_change_sends_little(host, tmp_path):
    """Two releases, pulled by digest through ssh: the host has the same images as this machine, and the second one's
    bytes are under 5 % of the first's, with the cache or without it; pulled again, next to none."""
    (tmp_path / "change").mkdir()
    (tmp_path / "change/Dockerfile").write_text(f"FROM {apps.echo('v1')}\nRUN echo changed >/app/changed\n")
    images = [apps.echo("v1"), build(tmp_path / "change", "fleet-change")]
    ids = [docker("image", "inspect", "--format", "{{.Id}}", image).stdout.strip() for image in images]
    first, whole = pull(host, images[0], tmp_path / "cache", tmp_path / "s")
    second, change = pull(host, images[1], tmp_path / "cache", tmp_path / "s")
    print(f"{whole} bytes, then {change}: {change / whole:.3%}")
    assert [first, second] == ids and whole > 1_000_000
    assert change < 0.05 * whole
    assert pull(host, images[1], tmp_path / "another", tmp_path / "s")[1] < 10_000
