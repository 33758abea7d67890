"""What a server holds for the app: decided without a server, so compared as it is."""

import json
import re
import shlex
from dataclasses import replace

import pytest

from slipway.deploy import config
from slipway.deploy.server import files as server, site
from deployer.conftest import fleet_of


def host_of(fleet, name):
    return next(host for host in fleet.hosts if host.name == name)


def files(fleet, name):
    """Path → content of every file on the host, nginx's included."""
    host = host_of(fleet, name)
    app = [*server.app_files(fleet, host), server.tmpfiles(fleet)] if host.roles else []
    return {file.path: file.content for file in (*app, *server.unit_files(fleet, host))} | {
        path: content for each in site.sites(fleet, host, True) for path, content in each.files.items()}


def units(fleet, name):
    return {path.rpartition("/")[2] for path in files(fleet, name) if path.startswith("/etc/systemd/system/shop")}


def test_units_follow_roles(fleet):
    """A host has the units of its roles and those every host of the app has; one that only balances has none."""
    both = {"shop-slot.service", "shop.target"}
    assert units(fleet, "web1") == {"shop-web@.service"} | both
    assert units(fleet, "work") == {"shop-worker@.service", "shop-beat.service"} | both
    assert units(fleet, "front") == set()
    mount, folder = "\nRequiresMountsFor=/run/shop/%i\n", "/etc/systemd/system"
    assert mount in files(fleet, "web1")[f"{folder}/shop-web@.service"]
    assert mount not in files(fleet, "work")[f"{folder}/shop-beat.service"]
    swarm = replace(fleet, engine={**fleet.engine, "kind": "swarm"})
    assert not units(swarm, "work") and "/usr/local/bin/docker-runner" not in files(swarm, "work")
    assert "\n[Install]\n" in files(fleet, "web1")["/etc/systemd/system/docker-runner.target"], "it is enabled"


def test_the_unit_of_a_process(data):
    """Its words reach docker-runner as a shell would split them, its ports docker; and the agent, when it is ready."""
    data["process"] = {"alerts": {"command": "manage alert 'a b' 5% $HOME \"it's\\\\\"", "ports": ["25:2525"],
                                  "ready": "port 2525"}}
    data["hosts"]["work"]["roles"] = ["alerts"]
    lines = files(config.build(data, {}, "test"), "work")["/etc/systemd/system/shop-alerts.service"].splitlines()
    assert ("ExecStart=/usr/local/bin/docker-runner --unit shop-alerts --slot alerts shop manage alert \"a b\" 5%%"
            " $$HOME \"it's\\\\\"") in lines
    assert 'Environment="EXTRA=-e READY_FILE=/dev/shm/ready -p 25:2525"' in lines
    assert lines[-2:] == ["[X-Process]", "Ready=port 2525"]


def test_what_processes_leave(data):
    """Units that no role of the host asks for are stale, also of tables that are gone, or that now overlap."""
    data["process"] = {"alerts": {"command": "x", "overlap": True}}
    data["hosts"]["work"]["roles"] = ["worker", "alerts"]
    fleet = config.build(data, {}, "test")
    stale = server.stale_files(fleet, host_of(fleet, "work"), ["worker@", "alerts", "gone@", "beat"])
    names = [path.rpartition("/")[2] for path in stale]
    assert names == ["shop-alerts.service", "shop-beat.service", "shop-gone@.service", "shop-web@.service",
                     "alerts.env", "alerts.tag", "beat.env", "beat.tag"]
    units = ["shop-worker@a.service", "shop-alerts@a.service", "shop-alerts.service", "shop-gone@b.service"]
    assert server.stale_units(fleet, host_of(fleet, "work"), units) == units[2:]


def test_owners_and_modes_are_those_of_the_table(fleet):
    """Settings are root's alone; what is public is not to be written by the app."""
    host = host_of(fleet, "web1")
    all_files = [*server.app_files(fleet, host), *server.unit_files(fleet, host)]
    owned = {file.path: (file.mode, file.user, file.group) for file in all_files}
    assert owned["/etc/default/shop.env"] == ("600", "root", "root")
    assert owned["/etc/default/shop"] == ("644", "root", "root")
    assert owned["/usr/local/bin/docker-runner"] == owned["/usr/local/bin/docker-slot"] == ("755", "root", "root")
    assert [file.path for file in all_files if file.once] == ["/etc/default/shop.env"]


@pytest.mark.parametrize("changes, words", [
    ({}, ["OPTS="]), ({"memory": "off"}, ["OPTS=", "MEMORY=0"]), ({"memory": "2g"}, ["OPTS=", "MEMORY=2g"]),
    ({"media": "local", "opts": "-e 'A=it is'", "hosts": {"web1": {"roles": ["web"], "opts": "--memory=2g"}}},
     ["OPTS=-e 'A=it is' --memory=2g -v /var/www/shop/media:/data/media"])])
def test_docker_runner_gets_image_options_and_memory(data, changes, words):
    """/etc/default/APP holds shell assignments. Nothing is said of the usual share of memory, which each server knows;
    "off" is none, as docker spells it."""
    text = files(fleet_of(data, changes), "web1")["/etc/default/shop"]
    assert shlex.split(text, comments=True) == ["IMAGE=registry.example/shop", *words]


@pytest.mark.parametrize("name, missing, names", [
    ("web1", {"dockerd", "docker", "nginx", "logrotate"}, ["logrotate", "docker.io", "nginx"]),
    ("work", {"dockerd", "nginx"}, ["docker.io"]),
    ("front", {"dockerd", "nginx"}, ["nginx"]),
    ("web1", {"certbot"}, []),
])
def test_packages_are_what_commands_are_missing(fleet, name, missing, names):
    """A command that is there, from wherever, is not installed again; nor what the host's roles do not need."""
    assert server.packages(fleet, host_of(fleet, name), missing) == names


def test_every_template_is_filled_in(fleet):
    """No placeholder is left in any file of any host."""
    for host in fleet.hosts:
        for path, content in files(fleet, host.name).items():
            code = "\n".join(line for line in content.splitlines() if not line.startswith("#"))
            assert not re.search(r"@[A-Z_]+@", code), path


@pytest.mark.parametrize("before, after", [
    ("", {"live-restore": True}),
    ('{"debug": false, "live-restore": false}', {"debug": False, "live-restore": True}),
    ('{"live-restore": true}', None),
])
def test_live_restore_is_merged_in(before, after):
    """What daemon.json holds stays; where live-restore is on, nothing is written."""
    file = server.daemon_json(before)
    assert (json.loads(file.content) if file else None) == after
