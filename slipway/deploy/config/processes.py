"""What is wrong with processes whose tables are well formed, each by itself and beside others of its host. Pure."""

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations

from ..agent.roles import Process
from .checks import Problems

ANY = "0.0.0.0"  # all addresses of a server
Port = tuple[str, str, str]  # protocol, number, address


def problems(processes: Collection[Process], hosts: Mapping[str, Collection[str]], limit: int) -> Problems:
    """All of it. `hosts`: name → roles; `limit`: seconds that a process may take to get ready."""
    for process in processes:
        yield from of_one(process, limit)
    yield from of_ports(processes, hosts)


def of_one(process: Process, limit: int) -> Problems:
    """What is wrong with one."""
    if process.overlap and process.ports:
        yield f"process.{process.name}.ports", "two run beside each other, as overlap says: only one can have them"
    way, _, what = process.ready.partition(" ")
    if way == "seconds" and int(what) >= limit:
        yield f"process.{process.name}.ready", f"{what} s are not less than rollout.ready, {limit} s"


def of_ports(processes: Iterable[Process], hosts: Mapping[str, Collection[str]]) -> Problems:
    """Ports that two processes of a host publish, or one of them twice."""
    ports = [(process.name, port) for process in processes for port in process.ports]
    for (first, its), (name, port) in combinations(ports, 2):
        both = [host for host, roles in hosts.items() if {first, name} <= {*roles}]
        if both and clash(published(its), published(port)):
            yield f"process.{name}.ports", f"{port!r} and {first}'s {its!r} want the same port of {', '.join(both)}"


def published(port: str) -> Port:
    """What a port, as docker publishes it, takes of a server."""
    where, _, protocol = port.partition("/")
    *address, number, _ = where.split(":")
    return protocol or "tcp", number, "".join(address) or ANY


def clash(one: Port, other: Port) -> bool:
    """Whether a server cannot give both."""
    return one[:2] == other[:2] and (one[2] == other[2] or ANY in (one[2], other[2]))
