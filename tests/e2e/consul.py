"""Consul on the fleet: Debian's 1.8.7, as a server on the host of the services and as an agent on all other hosts."""

import contextlib
import json
import shutil

from proc import wait_until
from services import missing
from slipway.fleet.docker import docker

UNIT = """[Unit]
After=network-online.target

[Service]
ExecStart=/usr/bin/consul agent -data-dir=/var/lib/consul -config-dir=/etc/consul.d
ExecReload=/bin/kill -HUP $MAINPID
User=consul
KillSignal=SIGINT
"""  # as in Debian's package
PLACES = "/var/lib/consul /etc/consul.d /usr/bin/consul /etc/systemd/system/consul.service"


def install(host, **settings):
    """Install an agent on a host without starting it."""
    docker("cp", shutil.which("consul") or missing("consul"), f"{host.machine.container}:/usr/bin/consul")
    host.write("/etc/systemd/system/consul.service", UNIT)
    host.write("/etc/consul.d/agent.json", json.dumps({"bind_addr": host.address, **settings}))
    host.run(
        "id -u consul >/dev/null 2>&1 || useradd --system consul; install -d -o consul /var/lib/consul;"
        " systemctl daemon-reload"
    )


def start(*hosts):
    """Start the agents of these hosts, and wait until they know a leading server."""
    for host in hosts:
        host.run("systemctl start consul")
    for host in hosts:
        wait_until(
            lambda host=host: "8300" in host.run("curl -sS http://127.0.0.1:8500/v1/status/leader"),
            60,
            f"{host.name}'s agent knows a leader",
        )


def kill(*hosts):
    """Kill the agents of these hosts, so that they do not announce their leave."""
    for host in hosts:
        host.run("systemctl kill --signal=KILL consul")
        wait_until(lambda host=host: host.ssh("systemctl is-active consul").stdout != "active\n", what="it is dead")


@contextlib.contextmanager
def everywhere(fleet):
    """Run agents on all hosts for the block. At its end, remove the server on `services`."""
    install(fleet.services, server=True, bootstrap_expect=1, performance={"raft_multiplier": 1})
    try:
        for host in fleet.hosts.values():
            install(host, retry_join=[fleet.services.address], retry_interval="1s")
        start(fleet.services, *fleet.hosts.values())
        yield
    finally:
        fleet.services.run(
            f"systemctl stop consul; rm -rf {PLACES}; systemctl daemon-reload;"
            " systemctl reset-failed consul 2>/dev/null; true"
        )
