"""What is wrong between keys of the file that are all well formed, as (path, problem). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..agent.roles import BUILT_IN, Process
from .checks import Problems, is_numeric

if TYPE_CHECKING:
    from . import Fleet, Host

TLS_NEEDS = {"files": ("certificate", "key"), "certbot": ("names", "email"), "elsewhere": ("proxies",)}


def problems(fleet: Fleet) -> Problems:
    """All of it."""
    site, web = fleet.site, fleet.with_role("web")
    yield from of_swarm(fleet) if fleet.is_swarm else of_hosts(fleet)
    for host in fleet.hosts:
        yield from of_host(host, [other.name for other in fleet.hosts if other.address == host.address])
    if len(web) > 1 and fleet.media == "local":
        differ = f"\"local\" files would differ between {', '.join(host.name for host in web)}"
        yield "media", f"{differ}; use \"database\" or \"bucket\""
    for host in fleet.balancers:
        yield from of_balancer(host, web)
    for process in fleet.processes.values():
        yield from of_process(process, fleet.rollout["ready"])
    yield from ((f"site.{key}", f"is needed for tls = \"{site['tls']}\"")
                for key in TLS_NEEDS.get(site["tls"], ()) if not site[key])


def of_hosts(fleet: Fleet) -> Problems:
    """What is wrong where the hosts themselves run the app."""
    if fleet.engine["replicas"]:
        yield "engine.replicas", "counts only with engine.kind = \"swarm\""
    beats = fleet.with_role("beat")
    if len(beats) > 1:
        yield "hosts", f"only one may have the role beat, not {', '.join(host.name for host in beats)}"


def of_host(host: Host, same_address: list[str]) -> Problems:
    """What is wrong with one host: it has neither roles nor balances, or shares its address with others by name."""
    if not host.roles and not host.balancer:
        yield (f"hosts.{host.name}.roles",
               f"none is left; give it one, or take the app off it: provision --remove {host.name}")
    yield from ((f"hosts.{host.name}.address", f"{host.address!r} is {other}'s too")
                for other in same_address if other < host.name)


def of_balancer(host: Host, web: list[Host]) -> Problems:
    """What is wrong with a host that balances."""
    if not web:
        yield f"hosts.{host.name}.balancer", "there is no host with the role web"
    if host in web:
        yield f"hosts.{host.name}.balancer", "a host with the role web listens on the same ports: use another host"
    if not is_numeric(host.internal_address):
        yield f"hosts.{host.name}.internal", "is needed: the numeric address from which it asks the web hosts"


def of_process(process: Process, limit: int) -> Problems:
    """What is wrong with a process, which may take `limit` seconds to get ready."""
    if process.overlap and process.ports:
        yield f"process.{process.name}.ports", "two run beside each other, as overlap says: only one can have them"
    way, _, what = process.ready.partition(" ")
    if way == "seconds" and int(what) >= limit:
        yield f"process.{process.name}.ready", f"{what} s are not less than rollout.ready, {limit} s"


def of_swarm(fleet: Fleet) -> Problems:
    """What is wrong where Docker Swarm runs the app."""
    ignored = {"registry": fleet.registry or fleet.registry_login, "opts": fleet.opts,
               **{f"hosts.{host.name}.opts": host.opts for host in fleet.hosts}}
    yield from ((path, "has no meaning with engine.kind = \"swarm\"") for path, value in ignored.items() if value)
    if fleet.media == "local":
        yield "media", "\"local\" files would differ between containers; use \"database\" or \"bucket\""
    yield from of_replicas(fleet.engine["replicas"], fleet.processes)


def of_replicas(replicas: dict[str, int], known: dict[str, Process]) -> Problems:
    """What is wrong with the numbers of containers of a swarm, and their ports."""
    if not replicas.get("web"):
        yield "engine.replicas.web", "is needed: how many containers answer visitors"
    if replicas.get("beat", 1) > 1:
        yield "engine.replicas.beat", "only one beat may run"
    for name in replicas.keys() - known.keys():
        yield f"engine.replicas.{name}", f"there is no such process; there are {', '.join(known)}"
    for name in known.keys() - BUILT_IN.keys() - replicas.keys():
        yield f"engine.replicas.{name}", "is needed: how many there are, or 0"
    if "proxy" in known:
        yield "process.proxy", "the name is used for something else with engine.kind = \"swarm\""
    yield from ((f"process.{process.name}.ports", f"{port!r}: Swarm publishes a port at all addresses, not at one")
                for process in known.values() for port in process.ports if port.count(":") > 1)
