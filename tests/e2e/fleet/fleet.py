"""The fleet of this checkout: found, made and taken down."""

import contextlib
import fcntl
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

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


def up(hosts=DEFAULT_HOSTS, base=BASE, names=None):
    """The fleet with these hosts (and any it has already), running. What runs as wanted is left as it is, what does not
    come up so, as after a call that failed, is made anew.

    `base` is the image that hosts and services are made from: a Debian or one that is like it.
    """
    names = names or of_checkout()
    names.folder.mkdir(parents=True, exist_ok=True)
    with locked(names.folder):
        found = machines(names)
        kinds = _kinds(hosts, found)
        wanted = plan(names, kinds, base, found, _make_keys(names.folder, kinds))
        _write_config(names.folder, wanted)
        fleet = _fleet(wanted, names.folder / "ssh_config")
        parts = [*fleet.hosts.values(), fleet.services, fleet.registry]
        try:
            in_parallel(lambda part: _bring_up(part, found.get(part.machine.name), names.folder), parts)
        except (FleetError, AssertionError) as error:
            made = " ".join(part.machine.container for part in parts if part.machine.name not in found)
            raise FleetError(f"{error}\nmade in this call: {made or 'nothing'}; make fleet goes on from there,"
                             " make fleet-down removes all") from None
    return fleet


def attach(names=None):
    """The fleet that `up` made for this checkout. Raises FleetError when there is none."""
    names = names or of_checkout()
    found = machines(names)
    if not {"services", "registry"} <= set(found):
        raise FleetError("no fleet here: run make fleet")
    return _fleet(found, names.folder / "ssh_config")


def down(names=None):
    """Remove the fleet's containers with their volumes, its network and its keys; images stay."""
    names = names or of_checkout()
    if not names.folder.exists():
        names.folder.mkdir(parents=True)
    with locked(names.folder):
        containers = _containers(names)
        in_parallel(lambda container: docker("rm", "--force", "--volumes", container), containers)
        networks = docker("network", "ls", "--quiet", "--filter", f"label={LABEL}={names.fleet}").stdout.split()
        for network in networks:
            docker("network", "rm", network)
        for path in sorted(names.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.name == "lock" or path.unlink()


def plan(names, kinds, base, found, keys):
    """Name → Machine as it should be: what was `found` keeps address and ports; its image and keys may be newer."""
    network = _network(names)
    ports = names.ports()
    taken = {port for machine in found.values() for port in machine.ports.values()}
    wanted = {}
    for name, kind in kinds.items():
        image = "registry:2" if kind == "registry" else build(IMAGES, f"fleet-{kind}", target=kind, BASE=base)
        if name in found:
            wanted[name] = replace(found[name], image=image, keys=keys[name])
            continue
        free = free_ports(ports, taken, len(INSIDE[kind]))
        taken.update(free)
        used = {machine.address for machine in [*found.values(), *wanted.values()]}
        address = f"{network}.{ADDRESSES.get(name) or _lowest_free(network, used)}"
        wanted[name] = Machine(name, names.container(name), names.fleet, address, image, kind,
                               keys[name], dict(zip(INSIDE[kind], free, strict=True)))
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


@contextlib.contextmanager
def locked(folder):
    """One at a time makes or unmakes this checkout's fleet."""
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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


def _make_keys(folder, kinds):
    """The user's key and every machine's own, where there are none; name → fingerprint of both."""
    os.chmod(folder, 0o700)
    user, made = keygen(folder / "id_ed25519"), {}
    for name, kind in kinds.items():
        both = "" if kind == "registry" else user + keygen(folder / "hosts" / name)
        made[name] = hashlib.sha256(both.encode()).hexdigest()[:16]
    return made


def _write_config(folder, wanted):
    """The ssh_config and known_hosts by which the machines are reached."""
    ports = {name: machine.ports[22] for name, machine in wanted.items() if machine.kind != "registry"}
    keys = {name: (folder / "hosts" / f"{name}.pub").read_text().strip() for name in ports}
    (folder / "known_hosts").write_text(known_hosts(keys, ports))
    (folder / "ssh_config").write_text(ssh_config(folder, ports))
