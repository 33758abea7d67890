"""Fixtures that the tests of the deployer share."""

import copy
import functools
import os
import shutil
import time
from pathlib import Path

import pytest

from deployer import backup_host
from deployer.machine import Machine
from deployer.simulated import OWN, world
from slipway.deploy import config
from slipway.deploy.agent import docker, http, slots
from slipway.deploy.backup import leftovers

BIN = Path(__file__).parent / "bin"
TOML = {
    "app": "shop",
    "image": "registry.example/shop",
    "media": "bucket",
    "hosts": {
        "web1": {"address": "root@web1.example", "roles": ["web"], "internal": "10.0.0.11"},
        "web2": {"roles": ["web"], "internal": "10.0.0.12:8080"},
        "work": {"roles": ["worker", "beat"]},
        "front": {"balancer": True, "internal": "10.0.0.10"},
    },
    "site": {"names": ["shop.example", "www.shop.example"]},
}


@pytest.fixture(autouse=True)
def nobody_s_settings(monkeypatch):
    """Remove the variables by which a developer's shell names servers. A machine without ssh gets a stand-in for it."""
    for name in (*config.CLASSIC, "SSH_CONFIG", "APP", "IMAGE", "ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{BIN}")


@pytest.fixture(scope="module", autouse=True)
def all_is_put_back():
    """All that `world` replaces is put back. monkeypatch in a `world` puts back the world's: use mock.patch there."""
    before = [dict(vars(module)) for module in (docker, http, slots, os, time)]
    yield
    assert [dict(vars(module)) for module in (docker, http, slots, os, time)] == before


@pytest.fixture
def data():
    """The parsed toml of a valid fleet: two web hosts, one host for worker and beat, a balancer. Tests change it."""
    return {**TOML, "hosts": {name: dict(host) for name, host in TOML["hosts"].items()}, "site": dict(TOML["site"])}


def fleet_of(data, changes):
    """Return the fleet of this file after `changes`: path → value."""
    data = copy.deepcopy(data)
    for path, value in changes.items():
        *tables, key = path.split(".")
        functools.reduce(lambda table, name: table.setdefault(name, {}), tables, data)[key] = value
    return config.build(data, {}, "test")


@pytest.fixture
def fleet(data):
    return config.build(data, {}, "test")


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """The settings of docker-backup for an app, on a host whose folder, that of its locks, too, is tmp_path."""
    monkeypatch.setattr(leftovers, "LOCKS", str(tmp_path))
    return backup_host.settings_in(tmp_path)


@pytest.fixture
def place(monkeypatch):
    """The place of its backups, with a base backup, and the WAL since."""
    return backup_host.Place(monkeypatch, 1, 2)


@pytest.fixture
def host(monkeypatch):
    """The programs that docker-backup runs there. Tests of an agent have a `host` of their own."""
    return backup_host.host_with(monkeypatch)


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A folder, first in PATH, with stand-ins for ssh and sudo; its file `pid` has the id of ssh's process."""
    shutil.copytree(BIN, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("STUB", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def machine(tmp_path):
    """A simulated host with v1 live and two processes of a team; the agent's code works on it."""
    machine = Machine(tmp_path / "root", OWN)
    with world(machine.host):
        machine.attempt("deploy", "v1")
        yield machine
