"""The fleet for tests: slipway.fleet with a registry, and with failures of servers."""

from dataclasses import dataclass
from pathlib import Path

from proc import ROOT
from slipway.fleet import fleet
from slipway.fleet.docker import FleetError
from slipway.fleet.names import of_folder

from .host import Host, Registry, Services

__all__ = ["Fleet", "FleetError", "Host", "Registry", "Services", "attach"]


@dataclass(frozen=True)
class Fleet:
    """Servers, services and a registry on a network of their own. `ssh_config` names all except the registry."""

    hosts: dict
    services: Services
    registry: Registry
    ssh_config: Path

    def reset(self, *names):
        """Make these hosts, by default all, bare again at the same time."""
        fleet.in_parallel(Host.reset, [self.hosts[name] for name in names or self.hosts])


def attach():
    """Return the fleet that `make fleet` made for this checkout. Raise FleetError if there is none."""
    names = of_folder(ROOT)
    machines, config = fleet.machines(names), names.folder / "ssh_config"
    if not {"services", "registry"} <= machines.keys():
        raise FleetError("no fleet here: run make fleet")
    hosts = {name: Host(machine, config) for name, machine in sorted(machines.items()) if machine.kind == "host"}
    return Fleet(hosts, Services(machines["services"], config), Registry(machines["registry"]), config)
