"""The deployer in a wheel that is never unpacked: it needs nothing else, and works as its source does."""

import json
import os
import sys

import pytest

from checkout import build_package
from proc import ROOT, put, run

WHEEL = "vendor/slipway.whl"
BASE_PYTHON = os.path.realpath(sys.executable)  # it has none of our packages
HOSTS = """
[hosts.web1]
roles = ["web"]
internal = "10.0.0.1"
[hosts.work]
roles = ["worker", "beat"]
internal = "10.0.0.2"
"""
FRONT = "[hosts.front]\nbalancer = true\ninternal = '10.0.0.3'\n"
FLEETS = {
    "production": HOSTS + FRONT,
    "consul": f'balancer = "consul"\n{HOSTS}{FRONT}',
    "swarm": f'{HOSTS}[engine]\nkind = "swarm"\nreplicas = {{web = 2, worker = 1, beat = 1}}\n',
}
MAKE_ALL = """
import importlib, json, os
from slipway.deploy import __main__, config
from slipway.deploy.provisioning import fitness
from slipway.deploy.server import files, services, site
from slipway.deploy.ssh import bootstrap
from slipway.deploy.swarm import stack
for name in __main__.COMMANDS:
    importlib.import_module(f"slipway.deploy.commands.{name}")
fleet = config.find(os.environ)
made = {"agent": bootstrap.agent_files(), "daemon": files.daemon_json("").content,
        "balancer-hosts": files.balancer_hosts().content}
for host in fleet.hosts:
    made[f"{host.name}: inspection"] = fitness.inspection(fleet, host, False)
    for file in (
        *files.app_files(fleet, host), files.tmpfiles(fleet), *files.programs(fleet, host),
        *files.unit_files(fleet, host), *(services.description(fleet, each, "10.0.0.20") for each in fleet.services),
    ):
        made[f"{host.name}: {file.path}"] = file.content
    for each in site.sites(fleet, host, True):
        made |= {f"{host.name}: {path}": content for path, content in each.files.items()}
if fleet.is_swarm:
    made["stack"] = stack.stack(fleet, [stack.Release("v1", "x@sha256:1", "settings", (), "me")], "a")
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project's folder: the wheel in vendor/, its servers in deploy/, and no code."""
    folder = tmp_path_factory.mktemp("project")
    build_package(folder / "vendor").rename(folder / WHEEL)
    for name, text in FLEETS.items():
        put(folder / f"deploy/{name}.toml", f'app = "shop"\nimage = "r.example/shop"\nmedia = "bucket"\n{text}')
    return folder


@pytest.mark.parametrize("fleet", FLEETS)
def test_all_that_servers_get_is_the_same(project, fleet):
    """Wheel and source make the same files, sites, scripts, agent and stack, and can import every command."""
    zipped, source = (
        run([BASE_PYTHON, "-c", MAKE_ALL], cwd=project, env={**os.environ, "ENV": fleet, "PYTHONPATH": path})
        for path in (WHEEL, str(ROOT))
    )
    assert (zipped.returncode, zipped.stderr) == (source.returncode, source.stderr) == (0, "")
    assert json.loads(zipped.stdout) == json.loads(source.stdout)
