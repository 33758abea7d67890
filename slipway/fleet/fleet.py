"""Make, find and remove a folder's fleet: its test servers."""

import contextlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from ..lasting import LockedOpen
from .docker import FleetError, build, docker
from .machine import LABEL, Machine, create, from_inspect, keygen, wait_running
from .names import INSIDE, Names, free_ports, known_hosts, ssh_config

ADDRESSES = {"registry": 10, "services": 11}  # last number of the IP address; hosts have 21 and up
Machines = dict[str, Machine]  # name → machine
T = TypeVar("T")
R = TypeVar("R")


def up(names: Names, hosts: Sequence[str], base: str) -> Machines:
    """Start the fleet's machines, and make missing `hosts`. Replace a machine that does not start or whose definition
    has changed. `base`: the Debian image."""
    names.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with LockedOpen(names.folder / "lock", "w"):
        existing = machines(names)
        kinds = {
            "registry": "registry",
            "services": "services",
            **{name: machine.kind for name, machine in existing.items()},
            **dict.fromkeys(hosts, "host"),
        }
        planned = plan(names, kinds, base, existing)
        config = write_config(names.folder, planned)
        in_parallel(lambda machine: bring_up(machine, existing.get(machine.name), config), planned.values())
    return planned


def down(names: Names) -> None:
    """Remove the fleet's containers, volumes, network and files; keep images."""
    names.folder.mkdir(parents=True, exist_ok=True)
    with LockedOpen(names.folder / "lock", "w"):
        in_parallel(lambda container: docker("rm", "--force", "--volumes", container, timeout=300), containers(names))
        networks = docker("network", "ls", "--quiet", "--filter", f"label={LABEL}={names.fleet}").stdout.split()
        for network in networks:
            docker("network", "rm", network)
        for path in [path for path in names.folder.rglob("*") if path.is_file() and path.name != "lock"]:
            path.unlink()


def plan(names: Names, kinds: Mapping[str, str], base: str, existing: Machines) -> Machines:
    """Make images and network; return the machines to run. Those in `existing` keep address and ports. `kinds` begins
    with the registry, whose port hosts need."""
    network = network_of(names)
    taken = {port for machine in existing.values() for port in machine.ports.values()}
    images = {kind: image_of(kind, base) for kind in set(kinds.values())}
    planned: Machines = {}
    for name, kind in kinds.items():
        image = images[kind]
        registry = planned["registry"].ports[5000] if kind == "host" else 0
        if name in existing:
            planned[name] = replace(existing[name], image=image, registry=registry)
            continue
        free = free_ports(names.ports(), taken, len(INSIDE[kind]))
        taken.update(free)
        used = {machine.address for machine in [*existing.values(), *planned.values()]}
        lowest = next(number for number in range(21, 250) if f"{network}.{number}" not in used)
        address = f"{network}.{ADDRESSES.get(name, lowest)}"
        ports = dict(zip(INSIDE[kind], free, strict=True))
        planned[name] = Machine(name, names.container(name), names.fleet, address, image, kind, ports, registry)
    return planned


def image_of(kind: str, base: str) -> str:
    if kind == "registry":
        return "registry:2"
    folder = files(__package__).joinpath("image")
    content = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
    return build(content, f"fleet-{kind}", target=kind, BASE=base)


def machines(names: Names) -> Machines:
    ids = containers(names)
    inspected = json.loads(docker("inspect", *ids).stdout) if ids else []
    return {machine.name: machine for machine in map(from_inspect, inspected) if machine}


def containers(names: Names) -> list[str]:
    return docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}={names.fleet}").stdout.split()


def network_of(names: Names) -> str:
    """Return the prefix of the fleet's network, such as "10.200.7"; make the network if it is missing."""
    shown = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", names.fleet, check=False)
    if shown.returncode == 0:
        return shown.stdout.strip().rpartition(".")[0]
    for subnet in names.subnets():
        made = docker(
            "network", "create", f"--subnet={subnet}.0/24", f"--label={LABEL}={names.fleet}", names.fleet, check=False
        )
        if made.returncode == 0:
            return subnet
    raise FleetError(f"cannot make a network for {names.fleet}: {made.stderr.strip()}")


def bring_up(machine: Machine, existing: Machine | None, config: Path) -> None:
    """Start the machine `existing` if it equals `machine`. If it differs or does not start, make a new one."""
    with contextlib.suppress(FleetError):
        if machine == existing:
            docker("start", machine.container)  # no effect if it runs already
            wait_running(machine, config)
            return
    create(machine, config.parent)
    wait_running(machine, config)


def write_config(folder: Path, planned: Machines) -> Path:
    ports = {name: machine.ports[22] for name, machine in planned.items() if machine.kind != "registry"}
    keygen(folder / "id_ed25519")
    (folder / "known_hosts").write_text(known_hosts(keygen(folder / "host_key"), ports.values()))
    (folder / "ssh_config").write_text(ssh_config(folder, ports))
    return folder / "ssh_config"


def in_parallel(do: Callable[[T], R], items: Collection[T]) -> list[R]:
    with ThreadPoolExecutor(max(len(items), 1)) as pool:
        return list(pool.map(do, items))
