"""The fleet of this checkout: found, made and taken down."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from sharing import locked

from .docker import FleetError, build, docker, inspect
from .host import Host, Registry, Services
from .machine import LABEL, Machine, create, from_inspect, keygen
from .names import DEFAULT_HOSTS, INSIDE, free_ports, known_hosts, of_checkout, ssh_config

IMAGES = Path(__file__).parent / "image"
BASE = "debian:bookworm-slim"
ADDRESSES = {"registry": 10, "services": 11}  # hosts from 21 on


@dataclass(frozen=True)
class Fleet:
    """Servers, services and a registry on a network of their own; `ssh_config` knows all but the registry by name."""

    hosts: dict
    services: Services
    registry: Registry
    ssh_config: Path

    def reset(self, *names):
        """Make these hosts bare again, all by default, at the same time."""
        in_parallel(Host.reset, [self.hosts[name] for name in names or self.hosts])


def up(hosts=DEFAULT_HOSTS, base=BASE):
    """The fleet with these hosts (and any it has already), running. What runs as wanted is left as it is, what does not
    come up so, as after a call that failed, is made anew.

    `base` is the image that hosts and services are made from: a Debian or one that is like it.
    """
    names = of_checkout()
    names.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(names.folder / "lock"):
        found = machines(names)
        wanted = plan(names, _kinds(hosts, found), base, found)
        _write_config(names.folder, wanted)
        fleet = _fleet(wanted, names.folder / "ssh_config")
        parts = [*fleet.hosts.values(), fleet.services, fleet.registry]
        in_parallel(lambda part: _bring_up(part, found.get(part.machine.name), names.folder), parts)
    return fleet


def attach():
    """The fleet that `up` made for this checkout. Raises FleetError when there is none."""
    names = of_checkout()
    found = machines(names)
    if not {"services", "registry"} <= set(found):
        raise FleetError("no fleet here: run make fleet")
    return _fleet(found, names.folder / "ssh_config")


def down():
    """Remove the fleet's containers with their volumes, its network and its keys; images stay."""
    names = of_checkout()
    names.folder.mkdir(parents=True, exist_ok=True)
    with locked(names.folder / "lock"):
        in_parallel(lambda container: docker("rm", "--force", "--volumes", container), _containers(names))
        networks = docker("network", "ls", "--quiet", "--filter", f"label={LABEL}={names.fleet}").stdout.split()
        for network in networks:
            docker("network", "rm", network)
        for path in [path for path in names.folder.rglob("*") if path.is_file() and path.name != "lock"]:
            path.unlink()


def plan(names, kinds, base, found):
    """Name → Machine as it should be: what was `found` keeps address and ports; its image may be newer."""
    network = _network(names)
    taken = {port for machine in found.values() for port in machine.ports.values()}
    wanted = {}
    for name, kind in kinds.items():
        image = "registry:2" if kind == "registry" else build(IMAGES, f"fleet-{kind}", target=kind, BASE=base)
        if name in found:
            wanted[name] = replace(found[name], image=image)
            continue
        free = free_ports(names.ports(), taken, len(INSIDE[kind]))
        taken.update(free)
        used = {machine.address for machine in [*found.values(), *wanted.values()]}
        address = f"{network}.{ADDRESSES.get(name) or _lowest_free(network, used)}"
        wanted[name] = Machine(name, names.container(name), names.fleet, address, image, kind,
                               dict(zip(INSIDE[kind], free, strict=True)))
    return wanted


def machines(names):
    """Name → Machine, of all that exist."""
    known = [from_inspect(found) for found in inspect(_containers(names))]
    return {machine.name: machine for machine in known if machine}


def in_parallel(do, items):
    """Do it to all at once; then the first error, if any, is raised."""
    items = list(items)
    with ThreadPoolExecutor(max_workers=max(len(items), 1)) as pool:
        done = [pool.submit(do, item) for item in items]
    return [one.result() for one in done]


def _kinds(hosts, found):
    known = {name: machine.kind for name, machine in found.items()}
    return {"registry": "registry", "services": "services", **known, **{name: "host" for name in hosts}}


def _containers(names):
    return docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}={names.fleet}").stdout.split()


def _lowest_free(network, used):
    return next(number for number in range(21, 250) if f"{network}.{number}" not in used)


def _network(names):
    """The first three numbers of the network's addresses; it is made where there is none."""
    shown = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", names.fleet, check=False)
    if shown.returncode == 0:
        return shown.stdout.strip().rpartition(".")[0]
    for subnet in names.subnets():
        made = docker("network", "create", f"--subnet={subnet}.0/24", f"--label={LABEL}={names.fleet}", names.fleet,
                      check=False)
        if made.returncode == 0:
            return subnet
    raise FleetError(f"no network to be had for {names.fleet}: {made.stderr.strip()}")


def _fleet(found, config):
    hosts = {name: Host(machine, config) for name, machine in sorted(found.items()) if machine.kind == "host"}
    return Fleet(hosts, Services(found["services"], config), Registry(found["registry"]), config)


def _bring_up(part, found, folder):
    """Have it running: what was found, if that is what is wanted and comes up, else a new one."""
    with contextlib.suppress(FleetError, AssertionError):
        if part.machine == found:
            docker("start", part.machine.container)  # does nothing to one that runs
            return part.wait_running()
    create(part.machine, folder)
    part.wait_running()


def _write_config(folder, wanted):
    """A key for all users and one for all machines, where there are none; the ssh_config and known_hosts by which they
    are reached."""
    ports = {name: machine.ports[22] for name, machine in wanted.items() if machine.kind != "registry"}
    keygen(folder / "id_ed25519")
    known = known_hosts(keygen(folder / "host_key"), ports)
    (folder / "known_hosts").write_text(known)
    (folder / "ssh_config").write_text(ssh_config(folder, ports))
